// The AI pipelines that this software knows: their files, their parameters and what they are paid by. One
// table for the gateway's forms, the workers' checks, the command line and the documentation.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <framegrid/base/ids.hpp>
#include <framegrid/base/result.hpp>
#include <framegrid/job/capabilities.hpp>
#include <framegrid/media/profile.hpp>

namespace framegrid::job {

enum class ParameterType : std::uint8_t { kText, kInteger, kNumber, kBoolean };

// What an integer below its smallest value means. Peers take some such values, so clients send them.
enum class Below : std::uint8_t {
    kRefused,
    kAbsent,   // as if it were not there
    kLeast,    // the smallest value
    kWrapped,  // the value modulo kSeedModulus, never negative: the same value always means the same
};
inline constexpr std::int64_t kSeedModulus = std::int64_t{1} << 52;

// One parameter of a request (AI API section 2).
struct ParameterSpec {
    std::string_view name;
    ParameterType type = ParameterType::kText;
    double min = 0;                  // of a number
    double max = 0;                  // of a number; bytes of a text
    int multiple = 1;                // an integer must divide by it
    bool required = false;           // a text that may not be empty
    std::string_view choices{};      // a text must be one of these, separated by '|'
    std::string_view description{};  // for --help: what it is and its unit
    Below below = Below::kRefused;   // of an integer
    // What goes to peers that insist on a text when there is none; such a text means that there is none.
    std::string_view stand_in{};
};

enum class FileKind : std::uint8_t { kPicture, kVideo };

// A file of a request.
struct FileSpec {
    std::string_view name;  // of the form's part
    FileKind kind = FileKind::kPicture;
};

struct PipelineSpec {
    std::string_view name;  // "text-to-image"
    Capability capability;
    std::string_view title;          // one line for --help
    std::string_view default_model;  // of the models that come with this software
    std::vector<FileSpec> files{};   // the input; several: any one of them
    bool wants_mask = false;         // a second picture, see kMaskParameter
    bool gives_video = false;        // else pictures
    std::vector<ParameterSpec> parameters{};
};

// All pipelines, in the order of their numbers.
std::span<const PipelineSpec> pipelines();
const PipelineSpec* find_pipeline(std::string_view name);

using ParameterValue = std::variant<std::string, std::int64_t, double, bool>;

// Checked parameters by name; absent ones are not in it.
class Parameters {
  public:
    // A JSON object; each value may be typed or text ("true", "42"), as forms and clients write them. Empty
    // text and null mean absent. Names that the pipeline does not have are dropped. kInvalidArgument names
    // the field, kTooLarge: over kParametersBytesMax.
    static Result<Parameters> from_json(const PipelineSpec& spec, std::string_view json);
    // The fields of a form.
    static Result<Parameters> from_fields(
        const PipelineSpec& spec, const std::vector<std::pair<std::string, std::string>>& fields
    );

    std::string text(std::string_view name) const;  // empty: absent
    std::optional<std::int64_t> integer(std::string_view name) const;
    std::optional<double> number(std::string_view name) const;
    std::optional<bool> boolean(std::string_view name) const;
    void set(std::string name, ParameterValue value);
    // The same as a JSON object, keys in alphabetical order.
    std::string to_json() const;

  private:
    std::map<std::string, ParameterValue, std::less<>> values_;
};

inline constexpr std::size_t kParametersBytesMax = 512 * 1024;
// The mask of an inpainting job: a base64 data URL of a picture, white where to paint. Travels with the
// parameters, so that a job has one input.
inline constexpr std::string_view kMaskParameter = "mask_image";
inline constexpr std::size_t kMaskBytesMax = 256 * 1024;

// What a job is paid by (AI API section 1.8): output pixels for what is generated, input pixels for what is
// improved, times the number of pictures or frames. `input` is the size of the input picture, zero without
// one: a video that is improved counts as 25 pictures of 1024 x 576.
Pixels payable_units(const PipelineSpec& spec, const Parameters& parameters, media::Size input);

}  // namespace framegrid::job
