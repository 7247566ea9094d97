/* Everything about the simulated detector and its particles that was chosen. docs/lartpc.md says why and compares what comes out with a real
   detector's simulation. Files made with other values are other data: do not change them to make a network look better. */
#ifndef FARI_SIM_PARAMS_H
#define FARI_SIM_PARAMS_H

/* --- the detector: two drift volumes with a cathode between them --- */
#define SIM_DRIFT_CM 201.6  /* from the cathode to the wires, on both sides */
#define SIM_HALF_Y_CM 200.0 /* above and below the middle */
#define SIM_LENGTH_CM 500.0 /* along the beam */
#define SIM_ROWS 1280.0     /* of the image that the pixel sizes are given for */
#define SIM_COLUMNS 2048.0
#define SIM_ROW_CM 0.32   /* 2 us of drift */
#define SIM_COLUMN_CM 0.3 /* between wires */
#define SIM_WIRE_COS \
    0.5 /* wires of planes 0 and 1 are at +60 and -60 degrees to the vertical, those of plane 2 upright */
#define SIM_WIRE_SIN 0.86602540378443865

/* --- argon --- */
#define SIM_DENSITY 1.396         /* g/cm3 */
#define SIM_BETHE 0.19323         /* MeV/cm: 0.307075 Z/A density */
#define SIM_EXCITATION_MEV 188e-6 /* mean excitation energy */
#define SIM_RADIATION_CM 14.0
#define SIM_BIRKS_A 0.8 /* charge that survives recombination: A / (1 + k dE/dx), ICARUS 2004 */
#define SIM_BIRKS_K (0.0486 / (SIM_DENSITY * 0.5))

/* --- transport --- */
#define SIM_STEP_CM 0.15
#define SIM_DELTA_MEV 0.4  /* electrons above are led on their own */
#define SIM_PHOTON_MEV 0.5 /* bremsstrahlung above likewise */
#define SIM_STOP_HEAVY_MEV 1.0
#define SIM_STOP_LIGHT_MEV 0.15
#define SIM_PION_CM 100.0 /* between interactions */
#define SIM_PROTON_CM 90.0
#define SIM_NEUTRON_CM 35.0

/* --- charge on its way, and electronics --- */
#define SIM_SPREAD_ALONG 0.0076  /* cm of spread per square root of a cm of drift: sqrt(2 D / v), D = 4.6 cm2/s */
#define SIM_SPREAD_ACROSS 0.0112 /* D = 10 cm2/s */
#define SIM_LIFETIME_CM 960.0    /* 6 ms of drift at 0.16 cm/us */
#define SIM_PULSE_CM 0.12        /* of the shaped pulse, along the drift */
#define SIM_INDUCED_CM 0.16      /* of the charge that neighbouring wires see */
#define SIM_PULSE_TAIL 0.6       /* share of a pulse in a tail */
#define SIM_TAIL_CM 1.2
#define SIM_GAIN 235.0          /* counts for a MeV on a pixel of the usual size */
#define SIM_GAIN_INDUCTION 0.75 /* factors of it: planes 0 and 1 see charge pass by, plane 2 collects it */
#define SIM_GAIN_COLLECTION 1.8
#define SIM_SAMPLE_CM \
    0.08 /* in images of more than 5,120 rows, whose pixels are shorter, amplifiers see a pulse's height, not a share of its charge */
#define SIM_NOISE 1.6       /* counts, on every pixel that has a signal */
#define SIM_THRESHOLD 5.0   /* counts */
#define SIM_LABEL_MEV 0.012 /* charge that makes a pixel a particle's */
#define SIM_HITS 2200.0     /* short pulses of electronic noise in a plane: a mean of so many */
#define SIM_HIT_LEAST 4.5   /* counts at their top */
#define SIM_HIT_MORE 1.8    /* mean on top */
#define SIM_HIT_CM 0.35
#define SIM_LABEL_CM 0.24 /* spread along the drift that a label has beside diffusion */
#define SIM_BLIPS 260.0   /* small background in a plane: a mean of so many */
#define SIM_BLIP_MEV 0.14 /* their mean */
#define SIM_BLIP_LEAST_MEV 0.05

/* --- cosmic particles in the time that the detector is read out, and one drift before --- */
#define SIM_MUONS 6.5
#define SIM_MUON_LEAST_MEV 100.0 /* spectrum (E + 4290 MeV)^-3.01 above it (Shukla and Sankrith 2018) */
#define SIM_MUON_SCALE_MEV 4290.0
#define SIM_MUON_POWER 3.01
#define SIM_COSMIC_PHOTONS 1.1
#define SIM_COSMIC_PHOTON_LEAST_MEV 30.0
#define SIM_COSMIC_PHOTON_MOST_MEV 1000.0
#define SIM_COSMIC_HADRONS 1.0 /* protons and pions that neutrons set free */

/* --- neutrinos --- */
#define SIM_NEUTRINO_LEAST_MEV 250.0
#define SIM_NEUTRINO_SCALE_MEV 520.0 /* mean of each of two exponentials on top */
#define SIM_NEUTRINO_MOST_MEV 4000.0
#define SIM_SHARE_MUON 0.5     /* charged current, muon */
#define SIM_SHARE_ELECTRON 0.2 /* charged current, electron; the rest: neutral current */
#define SIM_Q2_GEV2 0.35
#define SIM_VERTEX_MARGIN_CM 20.0
#define SIM_VISIBLE_LEAST_MEV 60.0 /* interactions that show less are drawn again */
#endif
