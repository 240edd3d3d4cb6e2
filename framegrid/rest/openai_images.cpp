#include <framegrid/rest/openai_images.hpp>

#include <algorithm>

#include <boost/json.hpp>

#include <framegrid/crypto/hash.hpp>
#include <framegrid/http/event_stream.hpp>
#include <framegrid/media/sniff.hpp>
#include <framegrid/rest/openai_error.hpp>

namespace framegrid::rest {

namespace {

namespace json = boost::json;

constexpr Duration kSilenceMax = std::chrono::seconds(15);  // then a comment keeps an event stream alive
constexpr Duration kGrace = std::chrono::seconds(5);        // for a job to end itself at its deadline

// Which previews are told of: evenly spread over the steps.
class PartialChoice {
  public:
    explicit PartialChoice(int most) : most_(most) {}
    // The picture's index, or nothing.
    std::optional<int> next(std::int64_t step, std::int64_t steps) {
        if (told_ >= most_ || steps <= 0 || step * (most_ + 1) / steps <= told_) {
            return std::nullopt;
        }
        return told_++;
    }

  private:
    int most_;
    int told_ = 0;
};

std::int64_t whole_member(const json::object& object, std::string_view name) {
    const auto* value = object.if_contains(name);
    return value != nullptr && value->is_int64() ? value->get_int64() : 0;
}

// What every event about a picture has.
json::object picture_event(
    const std::string& type, std::string base64, std::string_view format, std::int64_t now_unix_ms
) {
    return {
        {"type", type},
        {"b64_json", std::move(base64)},
        {"created_at", now_unix_ms / 1000},
        {"output_format", format},
        {"background", "opaque"},
        {"quality", "auto"},
        {"size", "auto"}
    };
}

std::string_view format_of(std::string_view content_type) {
    return content_type.substr(content_type.find('/') + 1);
}

}  // namespace

void OpenAiImages::add_routes(Router& router) {
    router.add<OpenAiImages>(
        *this,
        {
            {"POST", "/v1/images/generations", RouteKind::kIntake, &OpenAiImages::generate},
            {"POST", "/v1/images/edits", RouteKind::kIntake, &OpenAiImages::edit},
        },
        ErrorForm::kOpenAi
    );
}

Task<Answer> OpenAiImages::generate(Call& call) {
    const auto fields = co_await common_.read_fields(call);
    if (!fields) {
        co_return openai_refusal(call, fields.error());
    }
    auto request = read_image_request(*fields, std::nullopt);
    if (!request) {
        co_return openai_refusal(call, std::move(request.error()));
    }
    co_return co_await run(call, *std::move(request), "image_generation");
}

Task<Result<ImageRequest>> OpenAiImages::read_edit(Call& call) {
    auto fields = co_await common_.read_fields(call);
    if (!fields) {
        co_return fail(std::move(fields.error()));
    }
    if (std::ranges::count(fields->files, "image", &http::Part::name) != 1) {
        co_return fail(Errc::kInvalidArgument, "image is one picture, as a file of a form", "image");
    }
    const auto picture = std::ranges::find(fields->files, "image", &http::Part::name);
    const auto size = media::picture_size(picture->body.view());
    if (!size) {
        co_return fail(Errc::kUnprocessable, "image is no picture that is known here", "image");
    }
    auto request = read_image_request(*fields, size);
    if (!request) {
        co_return fail(std::move(request.error()));
    }
    FG_CO_CHECK(common_.check_model(request->document));
    for (auto& part : fields->files) {
        if (!request->document.inputs.contains(part.name)) {
            co_return fail(Errc::kInvalidArgument, "there is no such file here", part.name);
        }
        const auto kept = co_await common_.keep(call, part);
        if (!kept) {
            co_return fail(kept.error());
        }
        request->document.inputs[part.name] = kept->id;
    }
    co_return request;
}

Task<Answer> OpenAiImages::edit(Call& call) {
    auto request = co_await read_edit(call);
    if (!request) {
        co_return openai_refusal(call, std::move(request.error()));
    }
    co_return co_await run(call, *std::move(request), "image_edit");
}

Task<Answer> OpenAiImages::run(Call& call, ImageRequest request, std::string event_prefix) {
    if (auto known = common_.check_model(request.document); !known) {
        co_return openai_refusal(call, std::move(known.error()));
    }
    const auto& ports = common_.ports();
    const auto time_max = common_.settings().image_time_max;
    request.document.deadline_ms = milliseconds(time_max);
    auto submitted = co_await ports.jobs_api.accept(call, request.document);
    if (!submitted) {
        co_return openai_refusal(call, std::move(submitted.error()));
    }
    if (request.stream) {
        co_return co_await stream(
            call, std::move(request), std::move(submitted->record), std::move(event_prefix)
        );
    }
    auto record =
        co_await ports.jobs_api.wait_for(submitted->record.id, ports.clock.now() + time_max + kGrace);
    if (!record) {
        co_return openai_refusal(call, std::move(record.error()));
    }
    if (record->state != job::State::kSucceeded) {
        co_return openai_refusal(call, failure_of(*record));
    }
    auto data = co_await pictures(call, std::move(request), *record);
    if (!data) {
        co_return openai_refusal(call, std::move(data.error()));
    }
    json::object out{{"created", record->finished_unix_ms / 1000}, {"data", std::move(*data)}};
    out["framegrid"] = json::object{{"job", record->id}};
    co_return json_answer(json::serialize(out));
}

// The results as OpenAI's Image objects, with what else is known of each.
Task<Result<json::array>> OpenAiImages::pictures(Call& call, ImageRequest request, job::Record record) {
    const auto& ports = common_.ports();
    const auto result = json::parse(record.result);
    json::array out;
    for (const auto& output : result.at("outputs").as_array()) {
        const std::string id(output.at("artifact").as_string());
        json::object one;
        if (request.url) {
            one["url"] = common_.artifact_url(call, id);
        }
        if (request.base64) {
            const auto deadline = Deadline::after(ports.clock, ports.jobs.work.store_time_max);
            const std::string digest(output.at("sha256").as_string());
            const auto bytes = co_await api::get_object(
                ports.jobs.objects, digest, common_.settings().image_bytes_max, deadline
            );
            if (!bytes) {
                co_return fail(bytes.error());
            }
            call.memory.hold(bytes->size() * 3);
            one["b64_json"] = crypto::base64(bytes->view());
        }
        if (const auto* seed = output.as_object().if_contains("seed")) {
            one["seed"] = *seed;
        }
        one["content_type"] = output.at("content_type");
        out.push_back(std::move(one));
    }
    co_return out;
}

Task<Result<void>> OpenAiImages::write_event(Call& call, std::string name, std::string data) {
    const std::string text = http::format_event({std::move(name), std::move(data)});
    call.bytes_out += text.size();
    co_return co_await call.exchange.response.write(Blob(to_bytes(text)));
}

// Tells of previews until the job is over; returns its record then.
Task<Result<job::Record>> OpenAiImages::tell_partial(
    Call& call, int partial_images, std::string id, std::string event_prefix
) {
    const auto& ports = common_.ports();
    const auto channel = ports.jobs.desk.listen(id);
    PartialChoice choice(partial_images);
    std::uint64_t number = 0;
    for (;;) {
        const auto until = ports.clock.now() + kSilenceMax;
        const auto told = co_await ports.jobs.desk.events_after(id, channel, number, until);
        if (!told) {
            co_return fail(told.error());
        }
        for (const auto& one : *told) {
            number = one.event.number;
            const auto state = job::parse_state(one.event.kind);
            if (state && job::is_final(*state)) {
                co_return co_await ports.jobs.store.get(id);
            }
            if (one.preview.empty()) {
                continue;
            }
            const auto data = json::parse(one.event.data).get_object();
            const auto index = choice.next(whole_member(data, "step"), whole_member(data, "steps"));
            if (index) {
                const std::string type = event_prefix + ".partial_image";
                auto event =
                    picture_event(type, crypto::base64(one.preview.view()), "jpeg", one.event.at_unix_ms);
                event["partial_image_index"] = *index;
                FG_CO_CHECK(co_await write_event(call, type, json::serialize(event)));
            }
        }
        if (told->empty()) {
            auto record = co_await ports.jobs.store.get(id);
            if (!record || job::is_final(record->state)) {
                co_return record;
            }
            FG_CO_CHECK(co_await call.exchange.response.write(Blob::copy_of(std::string_view(":\n\n"))));
        }
    }
}

Task<Answer> OpenAiImages::stream(
    Call& call, ImageRequest request, job::Record record, std::string event_prefix
) {
    http::ResponseHead head;
    head.headers.add("content-type", std::string(http::kEventStreamType));
    head.headers.add("cache-control", "no-store");
    Answer rest;
    rest.status = 499;  // until the end has been told
    if (const auto begun = co_await call.start(std::move(head)); !begun) {
        co_return rest;
    }
    auto over = co_await tell_partial(call, request.partial_images, record.id, event_prefix);
    if (over && over->state != job::State::kSucceeded) {
        over = fail(failure_of(*over));
    }
    Result<json::array> data = json::array();
    if (over) {
        request.url = false;
        request.base64 = true;
        data = co_await pictures(call, std::move(request), *over);
    }
    if (!over || !data) {
        const auto& error = over ? data.error() : over.error();
        const std::string text = openai_error_json(error, status_of(error.code));
        if (co_await write_event(call, "error", text)) {
            rest.status = 200;
        }
        co_return rest;
    }
    const std::string type = event_prefix + ".completed";
    for (auto& one : *data) {
        auto& picture = one.as_object();
        auto event = picture_event(
            type, std::string(picture["b64_json"].as_string()),
            format_of(std::string_view(picture["content_type"].as_string())), over->finished_unix_ms
        );
        // No model here counts tokens; the clients' types want the numbers.
        event["usage"] = json::object{
            {"input_tokens", 0},
            {"input_tokens_details", {{"image_tokens", 0}, {"text_tokens", 0}}},
            {"output_tokens", 0},
            {"total_tokens", 0}
        };
        if (const auto* seed = picture.if_contains("seed")) {
            event["seed"] = *seed;
        }
        if (!co_await write_event(call, type, json::serialize(event))) {
            co_return rest;
        }
    }
    rest.status = 200;
    co_return rest;
}

}  // namespace framegrid::rest
