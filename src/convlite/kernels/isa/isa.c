/* All kernels of one instruction set. setup.py compiles this file once for each of ISAS, with -DISA=its name and flags of its own. Everything
   but the function at the end is static, so code of one instruction set can never be linked into another's path. */
#include <math.h>
#include <string.h>
#include "table.h"
#ifndef ISA
#error "ISA is not defined: setup.py compiles this file with the name of an instruction set"
#endif

#include "kinds/f32.h"
#include "kernels.h"
#include "kinds/f64.h"
#include "kernels.h"

#define PASTE_(a, b, c) a##b##c
#define PASTE(a, b, c) PASTE_(a, b, c)
#define OF_KIND(kind) [KIND_##kind] = &PASTE(table_, ISA, _##kind),
static const Table *const tables[KIND_COUNT] = {KINDS(OF_KIND)};

const Table *PASTE(convlite_, ISA, )(int kind) { return tables[kind]; }
