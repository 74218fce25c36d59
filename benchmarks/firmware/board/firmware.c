/* Runs an exported model a step at a time, with all of its memory static, and prints what comes out as bits of float32, the ticks of
 * each step, and the stack that was used. */
#include <string.h>

#include "board.h"
#include "expected.h"
#include "model.h"

static model_state state;
static float outputs[MODEL_OUTPUTS], workspace[MODEL_WORKSPACE(1)];

int main(void) {
    if (model_workspace(1) * sizeof(float) != sizeof workspace) {
        print("the workspace of the model is not the one of its header\n");
        return 1;
    }
    model_init(&state);
    start_ticks();
    for (int step = 0; step < EXPECTED_STEPS; step++) {
        const uint32_t start = ticks();
        model_step(&state, expected_inputs + step * MODEL_INPUTS, outputs, workspace);
        const uint32_t end = ticks();
        print("step ");
        print_hex((end - start) & 0xffffff);
        for (int i = 0; i < EXPECTED_OUTPUTS; i++) {
            uint32_t bits;
            memcpy(&bits, &outputs[i], sizeof bits);
            print_hex(bits);
        }
        print("\n");
    }
    print("stack ");
    print_hex(stack_used());
    print("\n");
    return 0;
}
