"""The tables of docs/, made from the committed rows in results/ and put between their markers."""
