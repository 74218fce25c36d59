"""Every setting of a trial, each with its own docstring; together they define what a trial is."""

from doping.method import Annealing, Method, MethodName, RowDropout
from doping.patterns import PatternName
from doping.settings import Settings, added_later
from lightning_modules.settings.intent import IntentModel, IntentTraining
from lightning_modules.settings.language_model import Model, StreamTraining
from lightning_modules.settings.training import StartFrom, Training
from lightning_modules.settings.translation import BeamSearch, TranslationModel, TranslationTraining

__all__ = [
    "Annealing",
    "BeamSearch",
    "IntentModel",
    "IntentTraining",
    "Method",
    "MethodName",
    "Model",
    "PatternName",
    "RowDropout",
    "Settings",
    "StartFrom",
    "StreamTraining",
    "Training",
    "TranslationModel",
    "TranslationTraining",
    "added_later",
]
