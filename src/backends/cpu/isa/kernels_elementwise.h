/* The fast kernels of elementwise.c, copy.c and column_sum.c, compiled once per instruction set.
 *
 *   op             kernel (fari_...)   op            kernel           op           kernel
 *   binary         binary              reorder       reorder          column_sum   column_sum
 *   binary_select  binary_select       concat        concat           reduce_all   reduce_all
 *   unary          unary               slice         slice
 *   unary_dx       unary_dx            pad           pad
 *   add_n          add_n               transpose     transpose
 *                                      reshape       reshape
 *
 * Each takes every call of its op: what it has no fast way for (f64 operands, operands in an order of their own) it hands to the
 * op's reference kernel. No scratch, no `prepared`. The variants give equal bits: plain IEEE operations on a fixed pattern of
 * lanes, no contraction. */
#ifndef FARI_CPU_ISA_KERNELS_ELEMENTWISE_H
#define FARI_CPU_ISA_KERNELS_ELEMENTWISE_H
#include "backends/cpu/isa/kernels.h" /* FARI_ISA_DECLARE */

#define FARI_ISA_KERNELS_ELEMENTWISE(X) \
    X(fari_binary)                      \
    X(fari_binary_select)               \
    X(fari_unary)                       \
    X(fari_unary_dx)                    \
    X(fari_add_n)                       \
    X(fari_reorder)                     \
    X(fari_concat)                      \
    X(fari_slice)                       \
    X(fari_pad)                         \
    X(fari_transpose)                   \
    X(fari_reshape)                     \
    X(fari_column_sum)                  \
    X(fari_reduce_all)

FARI_ISA_KERNELS_ELEMENTWISE(FARI_ISA_DECLARE)
#endif
