// A JSON object read field by field, with one error at the end: the first field that was wrong.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

#include <framegrid/base/bytes.hpp>
#include <framegrid/base/result.hpp>

namespace framegrid::diffusion {

inline constexpr std::size_t kConfigBytesMax = 256 * 1024;

// The object of a JSON file. kTooLarge: over `bytes_max`; kInvalidArgument: not JSON, or not an object; the
// field is `file`. Python's NaN and Infinity are accepted.
Result<boost::json::object> parse_json_object(BytesView bytes, std::string_view file, std::size_t bytes_max);

// "<file>: <key>", as errors name a field.
std::string field_name(std::string_view file, std::string_view key);

// Each getter returns the field's value, or `fallback` when it is absent, null or wrong; a wrong one is kept
// as the error. Fields are named "<file>: <key>". The object must outlive the reader.
class JsonReader {
  public:
    JsonReader(const boost::json::object& object, std::string_view file) : object_(object), file_(file) {}

    bool has(std::string_view key) const;  // present and not null
    double number(std::string_view key, double fallback, double min, double max);
    std::int64_t integer(std::string_view key, std::int64_t fallback, std::int64_t min, std::int64_t max);
    bool boolean(std::string_view key, bool fallback);
    std::string text(std::string_view key, std::string_view fallback, std::size_t size_max = 256);
    // A list of integers, or one integer.
    std::vector<std::int64_t> integers(
        std::string_view key, std::int64_t min, std::int64_t max, std::size_t count_max
    );
    // Fails with kUnsupported unless the field is absent or as given.
    void expect(std::string_view key, bool value);
    void expect_text(std::string_view key, std::string_view value);
    void expect_absent(std::string_view key);

    void unsupported(std::string_view key, std::string_view what);
    void wrong(std::string_view key, std::string_view what);
    Result<void> finish() const;

  private:
    void keep(Errc code, std::string_view key, std::string_view what);

    const boost::json::object& object_;
    std::string_view file_;
    std::optional<Error> error_;
};

}  // namespace framegrid::diffusion
