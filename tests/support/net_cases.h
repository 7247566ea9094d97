/* The networks that the tests of equal bits train: dense layers, statistics over samples, planes that share layers, groups, and volumes; dropout,
   Adam, LARS and SGD, clipping over all of them. Tests that need others of their extents copy one and change it. */
#ifndef FAR_TESTS_NET_CASES_H
#define FAR_TESTS_NET_CASES_H
#include "support/net_run.h"

extern const net_case net_lenet5;     /* batches of 10 */
extern const net_case net_resnet18;   /* these of 5 */
extern const net_case net_narrow_a21; /* tall images of three planes, focal loss */
extern const net_case net_unet_group;
extern const net_case net_uresnet; /* of 1, as the next; skips that are joined, and an odd height at the bottom */
extern const net_case net_unet3d;
#endif
