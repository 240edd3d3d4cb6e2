// Do generated pictures show what their captions say? A classifier of the model's own directory judges.
#pragma once

#include <framegrid/engine/work_runner.hpp>

namespace framegrid::engine {

struct CaptionEvalSettings {
    std::string model_id;
    int captions = 200;     // the first so many of the held-back ones
    std::int64_t seed = 1;  // of the first picture; the next ones count up
    int steps = 0;          // 0: the model's
};

struct CaptionReport {
    int captions = 0;
    int colour = 0;  // right ones
    int shape = 0;
    int place = 0;
    int all = 0;  // all three right
};

// Whether a model comes with captions.json, classifier.json and classifier.onnx: a list of
// {caption, colour, shape, place}; the classes of each property, in the order of the classifier's outputs;
// and image [n, 3, h, w] of 0..1 to one row of logits per property.
bool has_caption_eval(const ModelManifest& manifest);

// Makes a picture for each caption by running jobs. Blocking. kUnprocessable: files that do not fit;
// kCancelled; the job's errors.
Result<CaptionReport> evaluate_captions(
    ModelSource& models, WorkRunner& runner, api::MediaCodec& codec, const CaptionEvalSettings& settings,
    const api::StopFlag& stop
);

}  // namespace framegrid::engine
