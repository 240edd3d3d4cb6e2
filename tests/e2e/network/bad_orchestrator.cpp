// An orchestrator that misbehaves on purpose, for end-to-end tests: it answers discovery like a good one and
// then
//   lie      claims every capability and refuses all work
//   hang     never answers a segment
//   garbage  answers segments with renditions that are not media
//   half     stops in the middle of the answer
//   wrong FILE  does every job with other bytes: FILE, or of echo its input backwards
//   noise    answers everything, discovery included, with bytes that are not the protocol
#include <cstdio>
#include <string>

#include <framegrid/api/orchestrator_service.hpp>
#include <framegrid/host/files.hpp>
#include <framegrid/host/log_sink.hpp>
#include <framegrid/host/loop.hpp>
#include <framegrid/host/signals.hpp>
#include <framegrid/http/client.hpp>
#include <framegrid/http/server.hpp>
#include <framegrid/wire/orchestrator_server.hpp>

namespace {

using namespace framegrid;

constexpr std::size_t kAnswerBytesMax = 64 << 20;

class BadService final : public api::OrchestratorService {
  public:
    BadService(std::string mode, Blob answer, Clock& clock)
        : mode_(std::move(mode)), answer_(std::move(answer)), clock_(clock) {}
    std::string uri;

    Task<Result<api::OrchestratorInfo>> get_info(api::InfoRequest, Deadline) override {
        api::OrchestratorInfo info;
        info.service_uri = uri;
        info.price = Price{0, 1};
        info.capabilities = job::default_capabilities();
        info.capabilities->version = "0.9.1";
        for (auto& [capability, count] : info.capabilities->capacities) {
            count = 64;  // more than anybody, to be asked first
        }
        info.capabilities->add_model(
            job::Capability::kUpscale, "framegrid/sr-2x", {.warm = true, .capacity = 64}
        );
        info.auth_token = {Bytes(32, 1), "bad-session", clock_.unix_ms() / 1000 + 1800};
        co_return info;
    }
    bool is_worker_secret(std::string_view) const override { return false; }
    Result<void> admit(const api::Job&) override {
        if (mode_ == "lie") {
            return fail(Errc::kForbidden, "incompatible capabilities");
        }
        return {};
    }
    Task<Result<api::JobOutput>> run(api::Job job, Deadline) override {
        if (mode_ == "hang") {
            for (;;) {
                co_await sleep_for(clock_, std::chrono::hours(1));
            }
        }
        api::JobOutput out;
        if (mode_ == "wrong") {
            out.output = wrong_answer(job.work);
            co_return out;
        }
        if (const auto* work = std::get_if<api::TranscodeWork>(&job.work.kind)) {
            for (const auto& profile : work->profiles) {
                out.output.artifacts.push_back(
                    {profile.name, "video/mp2t", Blob::copy_of(std::string(4000, 'g')), {1000}, {}}
                );
            }
        }
        co_return out;
    }
    Task<Result<void>> end_session(api::AuthToken, Deadline) override { co_return Result<void>{}; }
    Task<Result<std::unique_ptr<api::TaskStream>>> register_worker(api::Registration, Deadline) override {
        co_return fail(Errc::kUnauthorized, "invalid secret");
    }
    Task<Result<Blob>> fetch_input(std::string, Deadline) override {
        co_return fail(Errc::kNotFound, "none");
    }
    Task<Result<void>> submit_early(api::EarlyReport, Deadline) override {
        co_return fail(Errc::kNotFound, "nobody waits for this task");
    }
    Task<Result<void>> submit_progress(api::ProgressReport, Deadline) override {
        co_return fail(Errc::kNotFound, "nobody waits for this task");
    }
    Task<Result<void>> submit(api::TaskReport, Deadline) override { co_return Result<void>{}; }
    Bytes sign_ping(BytesView) override { return {}; }
    Bytes sign_result(const std::vector<crypto::Hash32>&) override { return {}; }
    std::string store(const std::string& session_id, const std::string& name, Blob bytes) override {
        stored_["/stream/" + session_id + "/" + name] = std::move(bytes);
        return "/stream/" + session_id + "/" + name;
    }
    std::optional<Blob> stored(std::string_view path) override {
        const auto it = stored_.find(std::string(path));
        return it == stored_.end() ? std::nullopt : std::optional(it->second);
    }

  private:
    api::WorkOutput wrong_answer(const api::Work& work) const {
        api::WorkOutput out;
        if (const auto* transcode = std::get_if<api::TranscodeWork>(&work.kind)) {
            for (const auto& profile : transcode->profiles) {
                out.artifacts.push_back({profile.name, "video/mp2t", answer_, {1000}, {}});
            }
            return out;
        }
        const std::string_view text = work.input.text();
        const bool echo = std::get<api::AiWork>(work.kind).pipeline == "echo";
        const std::string backwards(text.rbegin(), text.rend());
        out.artifacts.push_back({"answer", "", echo ? Blob::copy_of(backwards) : answer_, {}, {}});
        return out;
    }

    std::string mode_;
    Blob answer_;
    Clock& clock_;
    std::map<std::string, Blob> stored_;
};

Task<void> answer_half(http::Exchange& exchange) {
    http::ResponseHead head;
    head.headers.set("content-length", "100000");
    (void)co_await exchange.response.start(std::move(head));
    (void)co_await exchange.response.write(Blob::copy_of("half of a result"));
}

Task<void> answer_noise(http::Exchange& exchange) {
    http::ResponseHead head;
    head.headers.set("content-type", "application/grpc");
    (void)co_await exchange.response.respond(std::move(head), Blob::copy_of(std::string(300, '\xff')));
}

Task<Result<int>> serve(host::Loop& loop, std::string mode, std::string file) {
    host::SteadyClock clock(loop.executor());
    host::ThreadPool pool(1);
    const Logger log = host::make_stderr_logger({.role = "bad"});
    http::Client client(loop.executor(), clock, {}, log);
    Blob answer;
    if (!file.empty()) {
        FG_CO_TRY(bytes, host::read_file(file, kAnswerBytesMax));
        answer = Blob(std::move(bytes));
    }
    BadService service(mode, std::move(answer), clock);
    wire::OrchestratorServer routes({service, client, clock, pool, log}, {});
    http::Server server(
        loop.executor(), clock, {},
        [&](http::Exchange& exchange) {
            if (mode == "noise") {
                return answer_noise(exchange);
            }
            if (mode == "half" && exchange.head.path() == "/segment") {
                return answer_half(exchange);
            }
            return routes.serve(exchange);
        },
        log
    );
    auto listening = server.listen();
    if (!listening) {
        co_return fail(std::move(listening.error()));
    }
    service.uri = "https://127.0.0.1:" + std::to_string(server.port());
    routes.set_service_uri(service.uri);
    std::printf("ready %s\n", service.uri.c_str());
    std::fflush(stdout);
    host::StopSignals signals(loop.executor());
    (void)co_await signals.next();
    co_await server.stop(std::chrono::milliseconds(0));
    co_await client.stop();
    co_return 0;
}

}  // namespace

int main(int argc, char** argv) {
    framegrid::host::ignore_broken_pipes();
    framegrid::host::Loop loop;
    const auto code = loop.run_main(serve(loop, argc > 1 ? argv[1] : "lie", argc > 2 ? argv[2] : ""));
    return code ? *code : 1;
}
