/* What a convolution of ours reads and writes, forward or for the gradient of its input. */
#ifndef FARI_CPU_ISA_CONV_OPERANDS_H
#define FARI_CPU_ISA_CONV_OPERANDS_H

typedef struct fari_conv_operands {
    const float *in, *weight; /* weight: as the kernel wants it, packed or plain */
    const float *bias;        /* NULL: none */
    float *out, *scratch;
} fari_conv_operands;
#endif
