/* float64. Forms for shapes that fill few lanes, and lines of depthwise kernels, are not worth their code for doubles (200 KB over all instruction
   sets): their slots in the Table stay NULL, and the planner takes the general form. */
#define KIND f64
#define REAL double
#define WORD uint64_t
#define REAL_BITS 64
#define SPECIAL_FORMS 0
