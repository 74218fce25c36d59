/* What a Cortex-M4 needs before main: vectors, floating point, initialized data; and a word to the debugger, which here is qemu. */
#include "board.h"

extern uint32_t data_from[], data_start[], data_end[], bss_start[], bss_end[], stack_bottom[], stack_top[];

enum { UNTOUCHED = 0x5eed5eed };

void reset(void);
int main(void);

static uint32_t call_debugger(uint32_t operation, const void *argument) {
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void print(const char *text) { call_debugger(0x04, text); }

void print_hex(uint32_t number) {
    char text[10];
    for (int digit = 0; digit < 8; digit++)
        text[digit] = "0123456789abcdef"[number >> (28 - 4 * digit) & 15];
    text[8] = ' ', text[9] = 0;
    print(text);
}

static void stop(int failed) {
    const uint32_t reason[2] = {0x20026, (uint32_t)failed}; /* the application ended, with this exit code */
    call_debugger(0x20, reason);
    for (;;) {
    }
}

static void fault(void) {
    print("fault\n");
    stop(3);
}

/* SysTick counts down 24 bits. */
#define SYSTICK ((volatile uint32_t *)0xe000e010)
void start_ticks(void) {
    SYSTICK[0] = 0, SYSTICK[1] = 0xffffff, SYSTICK[2] = 0;
    SYSTICK[0] = 5; /* on, with the processor's clock */
}
uint32_t ticks(void) { return 0xffffff - SYSTICK[2]; }

uint32_t stack_used(void) {
    const uint32_t *word = stack_bottom;
    while (*word == UNTOUCHED)
        word++;
    return (uint32_t)((const char *)stack_top - (const char *)word);
}

__attribute__((naked, noreturn)) void reset(void) {
    __asm__ volatile(
        "ldr r0, =0xe000ed88 \n ldr r1, [r0] \n orr r1, #0xf00000 \n str r1, [r0] \n dsb \n isb \n" /* floating point on */
        "ldr r0, =stack_bottom \n ldr r1, =stack_top \n ldr r2, =0x5eed5eed \n"
        "1: cmp r0, r1 \n it lo \n strlo r2, [r0], #4 \n blo 1b \n"
        "b after_reset \n");
}

__attribute__((noreturn, used)) void after_reset(void) {
    const uint32_t *from = data_from;
    for (uint32_t *to = data_start; to < data_end;)
        *to++ = *from++;
    for (uint32_t *to = bss_start; to < bss_end;)
        *to++ = 0;
    stop(main());
    for (;;) {
    }
}

__attribute__((section(".vectors"), used)) static void (*const vectors[16])(void) = {
    (void (*)(void))stack_top, reset, fault, fault, fault, fault, fault,
};
