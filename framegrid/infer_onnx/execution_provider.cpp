#include <framegrid/infer_onnx/execution_provider.hpp>

#include <algorithm>
#include <array>

namespace framegrid::infer_onnx {
namespace {

struct Provider {
    std::string_view name;
    std::string_view library_name;
    bool automatic;
};

// In order of preference. Those of processors are not chosen by themselves, by what they did to a denoiser of
// 50 MB: oneDNN ran it in 0.9 of the time, but loaded it in 2.9 times the time and the decoder of pictures
// took nine times the memory, as each new shape is compiled and kept; XNNPACK changed nothing.
constexpr std::array<Provider, 6> kProviders{{
    {"tensorrt", "TensorrtExecutionProvider", true},
    {"cuda", "CUDAExecutionProvider", true},
    {"openvino", "OpenVINOExecutionProvider", true},
    {"cpu", "CPUExecutionProvider", true},
    {"dnnl", "DnnlExecutionProvider", false},
    {"xnnpack", "XnnpackExecutionProvider", false},
}};

std::string join(const std::vector<std::string>& words, const std::string& between) {
    std::string out;
    for (const auto& word : words) {
        out += out.empty() ? word : between + word;
    }
    return out;
}

bool is_offered(const Provider& provider, const std::vector<std::string>& offered) {
    return std::ranges::find(offered, provider.library_name) != offered.end();
}

std::unexpected<Error> not_offered(const std::string& wanted, const std::vector<std::string>& offered) {
    std::vector<std::string> names;
    for (const auto& provider : kProviders) {
        if (is_offered(provider, offered)) {
            names.emplace_back(provider.name);
        }
    }
    return fail(
        Errc::kUnsupported,
        "the installed ONNX Runtime has no provider " + printable(wanted) + "; it has: " + join(names, ", "),
        "provider"
    );
}

// Provider options of the kind that is made, set and released through the C interface.
template <class Options>
struct OptionsCalls {
    OrtStatus*(ORT_API_CALL* create)(Options**);
    OrtStatus*(ORT_API_CALL* update)(Options*, const char* const*, const char* const*, std::size_t);
    void(ORT_API_CALL* release)(Options*);
};

using Pairs = std::vector<std::pair<const char*, std::string>>;

template <class Options, class Append>
void append_with(const OptionsCalls<Options>& calls, const Pairs& pairs, Append&& append) {
    Options* raw = nullptr;
    Ort::ThrowOnError(calls.create(&raw));
    const std::unique_ptr<Options, decltype(calls.release)> options(raw, calls.release);
    std::vector<const char*> keys;
    std::vector<const char*> values;
    for (const auto& [key, value] : pairs) {
        keys.push_back(key);
        values.push_back(value.c_str());
    }
    Ort::ThrowOnError(calls.update(raw, keys.data(), values.data(), keys.size()));
    append(*raw);
}

// By default the library times every algorithm of a convolution when it meets a new shape: that makes the
// first picture of each size slow, and the choice, and with it the last bits of a result, an accident. Its
// memory grows by what is needed, not to the next power of two: other models share the device.
Pairs cuda_options(const OnnxSettings& settings) {
    return {
        {"device_id", std::to_string(settings.device)},
        {"cudnn_conv_algo_search", "HEURISTIC"},
        {"arena_extend_strategy", "kSameAsRequested"},
        {"use_tf32", settings.tf32 ? "1" : "0"},
    };
}

}  // namespace

const std::vector<std::string>& provider_names() {
    static const std::vector<std::string> names = [] {
        std::vector<std::string> out{"auto"};
        for (const auto& provider : kProviders) {
            out.emplace_back(provider.name);
        }
        return out;
    }();
    return names;
}

Result<ProviderChoice> choose_provider(
    const std::string& wanted, const std::vector<std::string>& offered,
    const std::function<Result<void>(const std::string& name)>& attempt
) {
    if (wanted != "auto") {
        const auto at = std::ranges::find(kProviders, std::string_view(wanted), &Provider::name);
        if (at == kProviders.end() || !is_offered(*at, offered)) {
            return not_offered(wanted, offered);
        }
        return ProviderChoice{wanted, {}};
    }
    std::vector<std::string> absent;
    std::vector<std::string> reasons;
    for (const auto& provider : kProviders) {
        const std::string name(provider.name);
        if (!provider.automatic) {
            continue;
        }
        if (!is_offered(provider, offered)) {
            absent.push_back(name);
            continue;
        }
        // Nothing can take the place of "cpu", so whatever is wrong with it shows with the first network.
        const auto works = name == "cpu" ? Result<void>() : attempt(name);
        if (works) {
            if (!absent.empty()) {
                reasons.push_back(join(absent, ", ") + ": not in this library");
            }
            return ProviderChoice{name, join(reasons, "; ")};
        }
        reasons.push_back(name + ": " + works.error().message);
    }
    return not_offered("cpu", offered);
}

void append_provider(Ort::SessionOptions& options, const std::string& name, const OnnxSettings& settings) {
    const OrtApi& api = Ort::GetApi();
    if (name == "tensorrt") {
        const OptionsCalls<OrtTensorRTProviderOptionsV2> calls{
            api.CreateTensorRTProviderOptions, api.UpdateTensorRTProviderOptions,
            api.ReleaseTensorRTProviderOptions
        };
        const Pairs pairs{{"device_id", std::to_string(settings.device)}};
        append_with(calls, pairs, [&](const OrtTensorRTProviderOptionsV2& tensorrt) {
            options.AppendExecutionProvider_TensorRT_V2(tensorrt);
        });
    }
    // TensorRT leaves operators that it does not know to the provider after it.
    if (name == "tensorrt" || name == "cuda") {
        const OptionsCalls<OrtCUDAProviderOptionsV2> calls{
            api.CreateCUDAProviderOptions, api.UpdateCUDAProviderOptions, api.ReleaseCUDAProviderOptions
        };
        append_with(calls, cuda_options(settings), [&](const OrtCUDAProviderOptionsV2& cuda) {
            options.AppendExecutionProvider_CUDA_V2(cuda);
        });
        options.SetDeterministicCompute(true);
    } else if (name == "openvino") {
        options.AppendExecutionProvider_OpenVINO_V2({{"device_type", "AUTO"}});
    } else if (name == "dnnl") {
        OrtDnnlProviderOptions* raw = nullptr;
        Ort::ThrowOnError(api.CreateDnnlProviderOptions(&raw));
        const std::unique_ptr<OrtDnnlProviderOptions, decltype(api.ReleaseDnnlProviderOptions)> dnnl(
            raw, api.ReleaseDnnlProviderOptions
        );
        options.AppendExecutionProvider_Dnnl(*raw);
    } else if (name == "xnnpack") {
        options.AppendExecutionProvider(
            "XNNPACK", {{"intra_op_num_threads", std::to_string(std::max(1, settings.threads))}}
        );
    }
}

}  // namespace framegrid::infer_onnx
