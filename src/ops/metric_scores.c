/* Scores from confusion counts, on the host. */
#include <farandole/metric.h>

static double ratio(double part, double whole, double when_empty)
{
    return whole > 0.0 ? part / whole : when_empty;
}

double far_confusion_accuracy(const double *confusion, int64_t classes)
{
    double right = 0.0, all = 0.0;
    for (int64_t t = 0; t < classes; t++)
        for (int64_t p = 0; p < classes; p++) {
            all += confusion[t * classes + p];
            right += t == p ? confusion[t * classes + p] : 0.0;
        }
    return ratio(right, all, 0.0);
}

double far_confusion_iou(const double *confusion, int64_t classes, int64_t k)
{
    const double both = confusion[k * classes + k];
    double either = -both;
    for (int64_t i = 0; i < classes; i++) either += confusion[k * classes + i] + confusion[i * classes + k];
    return ratio(both, either, 1.0);
}

double far_confusion_foreground_iou(const double *confusion, int64_t classes)
{
    double both = 0.0, either = 0.0;
    for (int64_t t = 0; t < classes; t++)
        for (int64_t p = 0; p < classes; p++) {
            both += t > 0 && p > 0 ? confusion[t * classes + p] : 0.0;
            either += t > 0 || p > 0 ? confusion[t * classes + p] : 0.0;
        }
    return ratio(both, either, 1.0);
}

double far_confusion_class_accuracy(const double *confusion, int64_t classes, int64_t k)
{
    double labels = 0.0;
    for (int64_t p = 0; p < classes; p++) labels += confusion[k * classes + p];
    return ratio(confusion[k * classes + k], labels, 1.0);
}

/* Pixels of label 1 or 2 that were predicted as their own class. */
static double non_background_accuracy(const double *confusion)
{
    double labels = 0.0;
    for (int i = 3; i < 9; i++) labels += confusion[i];
    return ratio(confusion[4] + confusion[8], labels, 0.0);
}

void far_cosmic_scores_mean(const double *confusion, int64_t image_count, far_cosmic_scores *scores_out)
{
    far_cosmic_scores sum = { 0.0, 0.0, 0.0, 0.0, 0.0 };
    for (int64_t i = 0; i < image_count; i++, confusion += 9) {
        sum.accuracy += far_confusion_accuracy(confusion, 3);
        sum.non_background_accuracy += non_background_accuracy(confusion);
        sum.cosmic_iou += far_confusion_iou(confusion, 3, 1);
        sum.neutrino_iou += far_confusion_iou(confusion, 3, 2);
    }
    const double by = image_count > 0 ? 1.0 / (double)image_count : 0.0;
    scores_out->accuracy = sum.accuracy * by;
    scores_out->non_background_accuracy = sum.non_background_accuracy * by;
    scores_out->cosmic_iou = sum.cosmic_iou * by;
    scores_out->neutrino_iou = sum.neutrino_iou * by;
    scores_out->mean_iou = 0.5 * (scores_out->cosmic_iou + scores_out->neutrino_iou);
}
