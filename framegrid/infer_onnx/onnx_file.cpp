#include <framegrid/infer_onnx/onnx_file.hpp>

#include <algorithm>
#include <optional>

#include <framegrid/base/log.hpp>

namespace framegrid::infer_onnx {

namespace {

constexpr int kDepthMax = 32;
constexpr std::size_t kNamesMax = 4096;
constexpr std::size_t kNameBytesMax = 1024;
constexpr std::size_t kInitializersMax = 100'000;
constexpr std::size_t kRankMax = 16;
constexpr std::uint64_t kSideMax = 1U << 30;

// One field of a message.
struct Field {
    std::uint32_t number = 0;
    std::uint64_t value = 0;  // of a varint
    BytesView bytes;          // of what has a length
};

class Message {
  public:
    explicit Message(BytesView bytes) : rest_(bytes) {}

    // The next field; nullopt at the end or when the bytes are no protobuf, see broken().
    std::optional<Field> next() {
        if (rest_.empty() || broken_) {
            return std::nullopt;
        }
        const std::uint64_t key = varint();
        Field field;
        field.number = static_cast<std::uint32_t>(key >> 3);
        switch (key & 7) {
            case 0:
                field.value = varint();
                break;
            case 1:
                skip(8);
                break;
            case 2:
                field.bytes = take(varint());
                break;
            case 5:
                skip(4);
                break;
            default:
                broken_ = true;
        }
        if (field.number == 0) {
            broken_ = true;
        }
        return broken_ ? std::nullopt : std::optional(field);
    }
    bool broken() const { return broken_; }

  private:
    std::uint64_t varint() {
        std::uint64_t value = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
            if (rest_.empty()) {
                break;
            }
            const std::uint8_t byte = rest_.front();
            rest_ = rest_.subspan(1);
            value |= std::uint64_t{byte & 0x7FU} << shift;
            if (byte < 0x80) {
                return value;
            }
        }
        broken_ = true;
        return 0;
    }
    BytesView take(std::uint64_t count) {
        if (broken_ || count > rest_.size()) {
            broken_ = true;
            return {};
        }
        const auto out = rest_.first(static_cast<std::size_t>(count));
        rest_ = rest_.subspan(out.size());
        return out;
    }
    void skip(std::uint64_t count) { (void)take(count); }

    BytesView rest_;
    bool broken_ = false;
};

class Scanner {
  public:
    Result<void> model(BytesView bytes) {
        bool has_graph = false;
        FG_CHECK(walk(bytes, [&](const Field& field) -> Result<void> {
            constexpr std::uint32_t kGraph = 7, kTraining = 20, kFunctions = 25;
            if (field.number == kGraph) {
                has_graph = true;
                return graph(field.bytes, 0);
            }
            if (field.number == kFunctions) {
                return function(field.bytes);
            }
            if (field.number == kTraining) {
                return fail(Errc::kUnprocessable, "the ONNX file holds training information");
            }
            return {};
        }));
        if (!has_graph) {
            return fail(Errc::kUnprocessable, "not an ONNX model");
        }
        std::erase_if(summary.inputs, [&](const auto& input) { return initializers_.contains(input.name); });
        return {};
    }

    OnnxSummary summary;

  private:
    template <class F>
    Result<void> walk(BytesView bytes, F&& each) {
        Message message(bytes);
        while (const auto field = message.next()) {
            FG_CHECK(each(*field));
        }
        if (message.broken()) {
            return fail(Errc::kUnprocessable, "not an ONNX model, or a damaged one");
        }
        return {};
    }

    Result<void> graph(BytesView bytes, int depth) {
        if (depth > kDepthMax) {
            return fail(Errc::kUnprocessable, "the ONNX file's graphs are nested too deeply");
        }
        return walk(bytes, [&](const Field& field) -> Result<void> {
            constexpr std::uint32_t kNode = 1, kInitializer = 5, kInput = 11, kOutput = 12, kSparse = 15;
            switch (field.number) {
                case kNode:
                    return node(field.bytes, depth);
                case kInitializer:
                    if (depth == 0) {
                        FG_CHECK(initializer_name(field.bytes));
                    }
                    return tensor(field.bytes);
                case kInput:
                    return depth == 0 ? tensor_info(field.bytes, summary.inputs) : Result<void>{};
                case kOutput:
                    return depth == 0 ? tensor_info(field.bytes, summary.outputs) : Result<void>{};
                case kSparse:
                    return sparse(field.bytes);
                default:
                    return {};
            }
        });
    }

    Result<void> function(BytesView bytes) {
        return walk(bytes, [&](const Field& field) -> Result<void> {
            constexpr std::uint32_t kNode = 7;
            return field.number == kNode ? node(field.bytes, 0) : Result<void>{};
        });
    }

    Result<void> node(BytesView bytes, int depth) {
        return walk(bytes, [&](const Field& field) -> Result<void> {
            constexpr std::uint32_t kAttribute = 5;
            return field.number == kAttribute ? attribute(field.bytes, depth) : Result<void>{};
        });
    }

    Result<void> attribute(BytesView bytes, int depth) {
        return walk(bytes, [&](const Field& field) -> Result<void> {
            constexpr std::uint32_t kTensor = 5, kGraph = 6, kTensors = 10, kGraphs = 11, kSparse = 22,
                                    kSparses = 23;
            switch (field.number) {
                case kTensor:
                case kTensors:
                    return tensor(field.bytes);
                case kGraph:
                case kGraphs:
                    return graph(field.bytes, depth + 1);
                case kSparse:
                case kSparses:
                    return sparse(field.bytes);
                default:
                    return {};
            }
        });
    }

    Result<void> sparse(BytesView bytes) {
        return walk(bytes, [&](const Field& field) -> Result<void> {
            constexpr std::uint32_t kValues = 1, kIndices = 2;
            return field.number == kValues || field.number == kIndices ? tensor(field.bytes) : Result<void>{};
        });
    }

    Result<void> tensor(BytesView bytes) {
        return walk(bytes, [&](const Field& field) -> Result<void> {
            constexpr std::uint32_t kExternal = 13;
            return field.number == kExternal ? external(field.bytes) : Result<void>{};
        });
    }

    Result<void> initializer_name(BytesView bytes) {
        return walk(bytes, [&](const Field& field) -> Result<void> {
            constexpr std::uint32_t kName = 8;
            if (field.number == kName && initializers_.size() < kInitializersMax) {
                initializers_.emplace(as_text(field.bytes.first(std::min(field.bytes.size(), kNameBytesMax)))
                );
            }
            return {};
        });
    }

    Result<void> external(BytesView bytes) {
        BytesView key, value;
        FG_CHECK(walk(bytes, [&](const Field& field) -> Result<void> {
            (field.number == 1 ? key : value) = field.bytes;
            return {};
        }));
        if (as_text(key) == "location") {
            FG_CHECK(check(value, summary.external.size()));
            summary.external.emplace(as_text(value));
        }
        return {};
    }

    Result<void> tensor_info(BytesView value_info, std::vector<api::TensorInfo>& into) {
        std::optional<std::string> name;
        api::TensorInfo info;
        FG_CHECK(walk(value_info, [&](const Field& field) -> Result<void> {
            constexpr std::uint32_t kName = 1, kType = 2;
            if (field.number == kName) {
                FG_CHECK(check(field.bytes, into.size()));
                name = as_text(field.bytes);
            }
            return field.number == kType ? type(field.bytes, info) : Result<void>{};
        }));
        if (name) {
            info.name = std::move(*name);
            into.push_back(std::move(info));
        }
        return {};
    }

    Result<void> type(BytesView bytes, api::TensorInfo& info) {
        return walk(bytes, [&](const Field& field) -> Result<void> {
            constexpr std::uint32_t kTensorType = 1;
            return field.number == kTensorType ? tensor_type(field.bytes, info) : Result<void>{};
        });
    }

    Result<void> tensor_type(BytesView bytes, api::TensorInfo& info) {
        return walk(bytes, [&](const Field& field) -> Result<void> {
            constexpr std::uint32_t kElement = 1, kShape = 2;
            constexpr std::uint64_t kFloat = 1, kFloat16 = 10, kDouble = 11, kBfloat16 = 16;
            if (field.number == kElement) {
                info.is_float = field.value == kFloat || field.value == kFloat16 || field.value == kDouble ||
                                field.value == kBfloat16;
            }
            if (field.number != kShape) {
                return {};
            }
            info.shape.clear();
            return walk(field.bytes, [&](const Field& part) -> Result<void> {
                constexpr std::uint32_t kDimension = 1;
                return part.number == kDimension ? dimension(part.bytes, info.shape) : Result<void>{};
            });
        });
    }

    Result<void> dimension(BytesView bytes, std::vector<std::int64_t>& shape) {
        if (shape.size() >= kRankMax) {
            return fail(Errc::kUnprocessable, "the ONNX file has a tensor of too many dimensions");
        }
        std::int64_t side = -1;
        FG_CHECK(walk(bytes, [&](const Field& field) -> Result<void> {
            constexpr std::uint32_t kValue = 1;
            if (field.number == kValue && field.value > 0 && field.value <= kSideMax) {
                side = static_cast<std::int64_t>(field.value);
            }
            return {};
        }));
        shape.push_back(side);
        return {};
    }

    std::set<std::string> initializers_;  // old files list them among the inputs

    static Result<void> check(BytesView text, std::size_t count) {
        if (text.size() > kNameBytesMax || count >= kNamesMax) {
            return fail(Errc::kUnprocessable, "the ONNX file has too many or too long names");
        }
        return {};
    }
};

}  // namespace

Result<OnnxSummary> scan_onnx(BytesView file) {
    Scanner scanner;
    FG_CHECK(scanner.model(file));
    return std::move(scanner.summary);
}

}  // namespace framegrid::infer_onnx
