/* float32. */
#define KIND f32
#define REAL float
#define WORD uint32_t
#define REAL_BITS 32
#define SPECIAL_FORMS 1
