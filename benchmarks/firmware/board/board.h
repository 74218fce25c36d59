/* What the firmware asks of the board. */
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

void print(const char *text);
void print_hex(uint32_t number);

/* Bytes of the stack that were written to so far. */
uint32_t stack_used(void);

/* Ticks of the processor's clock since the start; 24 bits. */
void start_ticks(void);
uint32_t ticks(void);

#endif
