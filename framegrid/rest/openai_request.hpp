// What OpenAI's clients write, as the documents of our own jobs (docs/openai.md).
#pragma once

#include <boost/json.hpp>

#include <framegrid/http/multipart.hpp>
#include <framegrid/job/document.hpp>

namespace framegrid::rest {

// The fields of a request by name: of a form as text, of a JSON body as they are, nested ones flattened
// ("input_reference[file_id]"). Files apart, "image[]" as "image".
struct OpenAiFields {
    boost::json::object values;
    std::vector<http::Part> files;

    // Empty when it is absent or no text.
    std::string text(std::string_view name) const;
};
// kInvalidArgument: not a JSON object.
Result<OpenAiFields> openai_fields(std::string_view json);
OpenAiFields openai_fields(std::vector<http::Part> parts);

struct ImageRequest {
    job::Document document;  // without its files
    bool stream = false;     // tell of each picture in an event
    int partial_images = 0;  // previews on the way, at most
    bool url = true;         // how pictures are answered
    bool base64 = true;
};

// An image generation, or an edit of `picture` (its size, as its header says). Unknown fields are refused;
// those that only OpenAI's models understand have no effect. Errors name OpenAI's field.
Result<ImageRequest> read_image_request(const OpenAiFields& fields, std::optional<media::Size> picture);

// A video from a prompt and perhaps a picture: a file of the form, or input_reference[file_id|image_url].
Result<job::Document> read_video_request(const OpenAiFields& fields);

// An error of our own document in the words of OpenAI's request.
Error openai_named(Error error);

}  // namespace framegrid::rest
