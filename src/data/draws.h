/* Which number of a sample's stream decides what: fixed, so that switching one thing on changes no other. Never renumber. */
#ifndef FARI_DATA_DRAWS_H
#define FARI_DATA_DRAWS_H

enum {
    FARI_DRAW_CROP_Y,
    FARI_DRAW_CROP_X,
    FARI_DRAW_FLIP,
    FARI_DRAW_VFLIP,
    FARI_DRAW_TURN,
    FARI_DRAW_ERASE,
    FARI_DRAW_CUTOUT_Y,
    FARI_DRAW_CUTOUT_X,
    FARI_DRAW_RECTANGLES = 16, /* four a try, ten tries */
    FARI_DRAW_JITTER_ORDER = 64,
    FARI_DRAW_BRIGHTNESS,
    FARI_DRAW_CONTRAST,
    FARI_DRAW_SATURATION,
    FARI_DRAW_HUE,
    FARI_DRAW_INVERT,
    FARI_DRAW_REGIONS = 80 /* four a try, ten tries */
};
#endif
