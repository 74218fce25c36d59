/* Names of the functions as the linker sees them. Here they are what they are in the headers; a C export puts the name of its model
 * before each, so that several models, each with its kernels, can be linked into one program. */
