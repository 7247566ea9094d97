/* Reading the options that convolution and pooling share: one entry an axis, with short forms. */
#ifndef FARI_OPS_WINDOW_OPTS_H
#define FARI_OPS_WINDOW_OPTS_H
#include <farandole/status.h>
#include <stdint.h>
#include <string.h>

typedef struct fari_window_opts {
    int64_t kernel[3], stride[3], dilation[3], pad[3];
} fari_window_opts;

static inline fari_window_opts fari_window_opts_of(const int64_t kernel[3], const int64_t stride[3],
                                                   const int64_t dilation[3], const int64_t pad[3])
{
    fari_window_opts opts;
    memcpy(opts.kernel, kernel, sizeof opts.kernel);
    memcpy(opts.stride, stride, sizeof opts.stride);
    memcpy(opts.dilation, dilation, sizeof opts.dilation);
    memcpy(opts.pad, pad, sizeof opts.pad);
    return opts;
}

/* Fills in defaults in place. kernel {k}: k along every axis, and then pad {p}: p along every axis. stride and dilation: later
   zeros are as the first entry; a first zero is stride_default (0: the kernel) and 1. Entries of axes that the input lacks must be
   zero and come out as kernel 1, stride 1, dilation 1, pad 0. `op` and `name` are for the words of an error, FAR_E_ARG. */
far_status fari_window_opts_read(fari_window_opts *opts_io, int32_t spatial_ndim, int64_t stride_default,
                                 const char *op, const char *name);
#endif
