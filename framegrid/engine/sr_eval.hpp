// How much better than bicubic the super-resolution models are, on pictures that training has not seen.
#pragma once

#include <string>
#include <vector>

#include <framegrid/engine/model_source.hpp>

namespace framegrid::engine {

struct SrEvalSettings {
    int side = 256;          // pixels per side of a test picture; a multiple of 8
    int seeds = 2;           // pictures of each kind
    std::string model_id{};  // only this model; empty: every model of the pipeline "upscale"
};

// RGB PSNR in dB, mean over the pictures. Low-resolution inputs are antialiased bicubic (a = -0.5), rounded
// to 8 bits; the baseline enlarges them with the same kernel. A border of `scale` pixels is left out.
struct SrRow {
    std::string model;
    std::string picture;  // kind of picture; "mean" for a model's total
    int scale = 1;
    double psnr_model = 0;
    double psnr_bicubic = 0;
    double delta() const { return psnr_model - psnr_bicubic; }
};

struct SrReport {
    std::vector<SrRow> rows;      // one per model: its mean
    std::vector<SrRow> pictures;  // one per model and kind of picture
};

// Blocking. kNotFound: no such model, or none at all; the models' own errors; kCancelled.
Result<SrReport> evaluate_sr(ModelSource& models, const SrEvalSettings& settings, const api::StopFlag& stop);

}  // namespace framegrid::engine
