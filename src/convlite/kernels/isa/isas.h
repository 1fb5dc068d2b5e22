/* The instruction sets that setup.py compiled, best first: CONVLITE_ISAS is ISA_ROW(name, needs) for each, `needs` of _cpu.h. */
#ifndef CONVLITE_ISAS_H
#define CONVLITE_ISAS_H
#include "../../_cpu.h"
#include "table.h"
#ifndef CONVLITE_ISAS
#error "CONVLITE_ISAS is not defined: setup.py says which instruction sets there are"
#endif

#define ISA_ROW(name, needs) const Table *convlite_##name(int kind);
CONVLITE_ISAS
#undef ISA_ROW

typedef struct {
    const char *name;
    int needs;
    const Table *(*table)(int kind); /* NULL where it has none of this kind */
} InstructionSet;

#define ISA_ROW(name, needs) {#name, needs, convlite_##name},
static const InstructionSet instruction_sets[] = {CONVLITE_ISAS};
#undef ISA_ROW

enum { ISA_COUNT = sizeof(instruction_sets) / sizeof(instruction_sets[0]) };

#endif
