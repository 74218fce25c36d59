/* The weights as they are in weights.bin. An assembler that is started in another folder needs this one as -I. */
#ifndef __ELF__
#error "this is for ELF (Linux, a microcontroller); for another system, export with --weights text"
#endif

    .section .rodata.model_weights, "a", %progbits
    .global model_weights
    .hidden model_weights
    .type model_weights, %object
    .balign 64
model_weights:
    .incbin "weights.bin"
    .size model_weights, . - model_weights

    .section .note.GNU-stack, "", %progbits
