// Workers over real sockets: registration streams, inputs, results.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <framegrid/wire/livepeer.pb.h>
#include <framegrid/runtime/task_group.hpp>
#include <framegrid/wire/grpc.hpp>

#include "wire_rig.hpp"

namespace framegrid::tests {
namespace {

class WireWorkers : public testing::TestWithParam<bool> {
  protected:
    Rig rig_{GetParam()};
};

INSTANTIATE_TEST_SUITE_P(Transport, WireWorkers, testing::Values(true, false), [](const auto& param) {
    return param.param ? "tls" : "cleartext";
});

const Blob kSegment = Blob::copy_of("a segment of at least twenty-five bytes");

api::Registration registration(api::WorkerKind kind) {
    api::Registration out;
    out.kind = kind;
    out.secret = kSecret;
    out.capacity = 2;
    out.capabilities = job::default_capabilities();
    if (kind == api::WorkerKind::kAi) {
        out.capabilities.add_model(
            job::Capability::kUpscale, "framegrid/sr-2x", {.warm = true, .capacity = 2}
        );
    }
    return out;
}

// Waits until `done`, or gives up.
Task<void> eventually(Rig& rig, std::function<bool()> done) {
    for (int i = 0; i < 500 && !done(); ++i) {
        co_await sleep_for(rig.clock, std::chrono::milliseconds(10));
    }
    EXPECT_TRUE(done());
}

// An orchestrator that sends its head with the first task.
Task<Result<int>> wait_for_a_late_head(Rig& rig) {
    int registrations = 0;
    OneShot waited_for_it;
    http::Server late(
        rig.loop.executor(), rig.clock, wire_server_settings(true),
        [&](http::Exchange& exchange) -> Task<void> {
            ++registrations;
            co_await waited_for_it.wait();
            http::ResponseHead head;
            head.headers = {{"content-type", "application/grpc"}};
            net::NotifySegment task;
            task.set_taskid(7);
            task.mutable_segdata()->mutable_auth_token()->set_session_id("over");
            (void)co_await exchange.response.start(std::move(head));
            (void)co_await exchange.response.write(wire::grpc_frame(task.SerializeAsString()));
            (void)co_await exchange.response.finish();
        },
        {}
    );
    FG_CO_CHECK(late.listen());
    wire::WireWorkerHost host(rig.ports, "https://127.0.0.1:" + std::to_string(late.port()));
    FG_CO_TRY(
        stream, co_await host.register_worker(
                    registration(api::WorkerKind::kTranscoder),
                    Deadline::after(rig.clock, std::chrono::milliseconds(100))
                )
    );
    waited_for_it.fire();
    FG_CO_TRY(task, co_await stream->next());
    EXPECT_EQ(task.session_ended, "over");
    EXPECT_EQ(registrations, 1);
    stream.reset();
    co_await late.stop(std::chrono::seconds(1));
    co_return 1;
}

TEST(WireRegistration, IsOneWhereTheHeadComesWithTheFirstTask) {
    Rig rig(true);
    rig.run([](Rig& in) -> Task<void> {
        const auto done = co_await wait_for_a_late_head(in);
        EXPECT_TRUE(done) << (done ? "" : done.error().message);
    });
}

// One worker that serves one task: every rendition is the input, reversed.
Task<Result<int>> serve_one(Rig& rig, api::WorkerKind kind) {
    FG_CO_TRY(stream, co_await rig.host->register_worker(registration(kind), rig.soon()));
    FG_CO_TRY(task, co_await stream->next());
    EXPECT_TRUE(task.input_url.starts_with(rig.uri + "/stream/")) << task.input_url;
    FG_CO_TRY(input, co_await rig.host->fetch_input(task.input_url, rig.soon()));
    Bytes reversed(input.view().rbegin(), input.view().rend());
    api::WorkOutput output;
    output.decoded = {123};
    std::size_t count = 1;
    if (const auto* work = std::get_if<api::TranscodeWork>(&task.work.kind)) {
        EXPECT_EQ(task.work.session_id, kSession);
        count = work->profiles.size();
    }
    for (std::size_t i = 0; i < count; ++i) {
        api::Artifact artifact;
        artifact.name = "r" + std::to_string(i);
        artifact.content_type = kind == api::WorkerKind::kAi ? "image/png" : "video/mp2t";
        artifact.bytes = Blob(reversed);
        artifact.pixels = {50};
        output.artifacts.push_back(std::move(artifact));
    }
    api::TaskReport report{
        .kind = kind,
        .id = task.id,
        .secret = kSecret,
        .pipeline = "upscale",
        .outcome = output,
        .delivered = {}
    };
    FG_CO_CHECK(co_await rig.host->submit(std::move(report), rig.soon()));
    co_return 1;
}

Task<Result<int>> request_one(Rig& rig, api::Job job) {
    FG_CO_TRY(output, co_await rig.orchestrator->run(std::move(job), rig.soon()));
    const std::string expected(kSegment.text().rbegin(), kSegment.text().rend());
    for (const auto& artifact : output.output.artifacts) {
        EXPECT_EQ(artifact.bytes.text(), expected);
    }
    co_return static_cast<int>(output.output.artifacts.size());
}

// A worker that goes on only when the client has the rendition that it delivered early.
Task<Result<int>> serve_early(Rig& rig, OneShot client_has_it) {
    FG_CO_TRY(
        stream, co_await rig.host->register_worker(registration(api::WorkerKind::kTranscoder), rig.soon())
    );
    FG_CO_TRY(task, co_await stream->next());
    const auto& work = std::get<api::TranscodeWork>(task.work.kind);
    EXPECT_TRUE(work.early);
    api::EarlyReport early{
        task.id, "guess", 1, {"p1", "video/mp2t", Blob::copy_of(std::string(300'000, 'e')), {7}, {}}
    };
    EXPECT_EQ((co_await rig.host->submit_early(early, rig.soon())).error().code, Errc::kUnauthorized);
    early.secret = kSecret;
    FG_CO_CHECK(co_await rig.host->submit_early(early, rig.soon()));
    co_await client_has_it.wait();
    api::TaskReport report;
    report.id = task.id;
    report.secret = kSecret;
    report.delivered = {1};
    report.outcome = api::WorkOutput{};
    for (std::size_t i = 0; i < work.profiles.size(); ++i) {
        report.outcome->artifacts.push_back({"", "video/mp2t", Blob::copy_of(std::string(100, 'l')), {8}, {}}
        );
    }
    FG_CO_CHECK(co_await rig.host->submit(std::move(report), rig.soon()));
    EXPECT_EQ((co_await rig.host->submit_early(early, rig.soon())).error().code, Errc::kNotFound)
        << "it is over";
    co_return 1;
}

Task<Result<int>> take_early(Rig& rig, OneShot client_has_it, std::vector<std::string>& told) {
    api::Job job = transcode_job("work", kSegment, 3);
    std::get<api::TranscodeWork>(job.work.kind).early = true;
    job.early = [&](std::size_t index, const api::Artifact& artifact) {
        told.push_back(std::to_string(index) + artifact.name + artifact.content_type);
        client_has_it.fire();
    };
    FG_CO_TRY(output, co_await rig.orchestrator->run(std::move(job), rig.soon()));
    EXPECT_EQ(output.output.artifacts.at(0).bytes.text(), std::string(100, 'l'));
    EXPECT_EQ(output.output.artifacts.at(1).bytes.text(), std::string(300'000, 'e'));
    EXPECT_EQ(output.output.artifacts.at(1).pixels, Pixels{7});
    co_return static_cast<int>(output.output.artifacts.size());
}

TEST_P(WireWorkers, ARenditionArrivesBeforeTheTaskIsDone) {
    rig_.run([](Rig& rig) -> Task<void> {
        const OneShot client_has_it;
        std::vector<std::string> told;
        std::vector<Task<Result<int>>> sides;
        sides.push_back(serve_early(rig, client_has_it));
        sides.push_back(take_early(rig, client_has_it, told));
        const auto results = co_await all_of(std::move(sides));
        CO_ASSERT(results[0]);
        CO_ASSERT(results[1]);
        EXPECT_EQ(*results[1], 3);
        EXPECT_EQ(told, std::vector<std::string>{"1p1video/mp2t"});
    });
}

// Tells of two steps, waits until the client has heard of them, and ends well or badly.
Task<Result<int>> serve_steps(Rig& rig, OneShot client_knows, bool ends_well) {
    FG_CO_TRY(stream, co_await rig.host->register_worker(registration(api::WorkerKind::kAi), rig.soon()));
    FG_CO_TRY(task, co_await stream->next());
    EXPECT_EQ(std::get<api::AiWork>(task.work.kind).preview_steps, 2);
    EXPECT_EQ(task.work.priority, api::Priority::kHigh);
    api::ProgressReport progress{task.id, "guess", {1, 7, {}}};
    EXPECT_EQ((co_await rig.host->submit_progress(progress, rig.soon())).error().code, Errc::kUnauthorized);
    progress.secret = kSecret;
    FG_CO_CHECK(co_await rig.host->submit_progress(progress, rig.soon()));
    progress.progress = {2, 7, Blob::copy_of(std::string(50'000, 'j'))};
    FG_CO_CHECK(co_await rig.host->submit_progress(progress, rig.soon()));
    co_await client_knows.wait();
    api::TaskReport report;
    report.kind = api::WorkerKind::kAi;
    report.id = task.id;
    report.secret = kSecret;
    report.pipeline = "upscale";
    if (ends_well) {
        report.outcome = api::WorkOutput{};
        report.outcome->artifacts.push_back({"a", "image/png", Blob::copy_of("png"), {}, 3});
    } else {
        report.outcome = fail(Errc::kUnprocessable, "not a picture");
    }
    FG_CO_CHECK(co_await rig.host->submit(std::move(report), rig.soon()));
    EXPECT_EQ((co_await rig.host->submit_progress(progress, rig.soon())).error().code, Errc::kNotFound);
    co_return 1;
}

Task<Result<int>> take_steps(Rig& rig, OneShot client_knows, std::vector<std::string>& told) {
    api::Job job = ai_job("upscale", "work", kSegment);
    job.work.priority = api::Priority::kHigh;
    std::get<api::AiWork>(job.work.kind).preview_steps = 2;
    job.progress = [&](const api::Progress& progress) {
        told.push_back(std::to_string(progress.done) + "/" + std::to_string(progress.total));
        if (progress.preview.size() == 50'000) {
            client_knows.fire();
        }
    };
    FG_CO_TRY(output, co_await rig.orchestrator->run(std::move(job), rig.soon()));
    EXPECT_EQ(output.output.artifacts.at(0).bytes.text(), "png");
    co_return 1;
}

Task<void> tell_steps(Rig& rig, bool ends_well) {
    const OneShot client_knows;
    std::vector<std::string> told;
    std::vector<Task<Result<int>>> sides;
    sides.push_back(serve_steps(rig, client_knows, ends_well));
    sides.push_back(take_steps(rig, client_knows, told));
    const auto results = co_await all_of(std::move(sides));
    CO_ASSERT(results[0]);
    EXPECT_EQ(results[1].has_value(), ends_well);
    if (!results[1]) {
        EXPECT_EQ(results[1].error().code, Errc::kUnprocessable);
        EXPECT_EQ(results[1].error().disposition, Disposition::kReject);
    }
    CO_ASSERT(!told.empty());
    EXPECT_EQ(told.back(), "2/7");
}

TEST_P(WireWorkers, StepsAreToldOfBeforeTheResult) {
    rig_.run([](Rig& rig) { return tell_steps(rig, true); });
}

TEST_P(WireWorkers, StepsAreToldOfBeforeAnError) {
    rig_.run([](Rig& rig) { return tell_steps(rig, false); });
}

TEST_P(WireWorkers, ATaskGoesToAWorkerAndBack) {
    rig_.run([](Rig& rig) -> Task<void> {
        std::vector<Task<Result<int>>> sides;
        sides.push_back(serve_one(rig, api::WorkerKind::kTranscoder));
        sides.push_back(request_one(rig, transcode_job("work", kSegment, 3)));
        const auto results = co_await all_of(std::move(sides));
        CO_ASSERT(results[0]);
        CO_ASSERT(results[1]);
        EXPECT_EQ(*results[1], 3);
        EXPECT_EQ(rig.service.last_registration.capacity, 2);
        EXPECT_EQ(rig.service.last_registration.capabilities, job::default_capabilities());
        co_await eventually(rig, [&rig] { return rig.service.registered == 0; });
    });
}

TEST_P(WireWorkers, AnAiTaskGoesToAWorkerAndBack) {
    rig_.run([](Rig& rig) -> Task<void> {
        std::vector<Task<Result<int>>> sides;
        sides.push_back(serve_one(rig, api::WorkerKind::kAi));
        sides.push_back(request_one(rig, ai_job("upscale", "work", kSegment)));
        const auto results = co_await all_of(std::move(sides));
        CO_ASSERT(results[0]);
        CO_ASSERT(results[1]);
        EXPECT_EQ(*results[1], 1);
        EXPECT_EQ(rig.service.last_registration.kind, api::WorkerKind::kAi);
    });
}

TEST_P(WireWorkers, WrongSecretsAreRefusedEverywhere) {
    rig_.run([](Rig& rig) -> Task<void> {
        for (const auto kind : {api::WorkerKind::kTranscoder, api::WorkerKind::kAi}) {
            auto wrong = registration(kind);
            wrong.secret = "guess";
            auto stream = co_await rig.host->register_worker(std::move(wrong), rig.soon());
            // The status may arrive with the head or after it.
            if (stream) {
                const auto task = co_await (*stream)->next();
                CO_ASSERT(!task);
                EXPECT_EQ(task.error().code, Errc::kUnauthorized);
            } else {
                EXPECT_EQ(stream.error().code, Errc::kUnauthorized);
            }
        }
        EXPECT_EQ(rig.service.registered, 0U);
        for (const bool trusting : {false, true}) {
            rig.service.trust_uploads = trusting;
            api::TaskReport report{
                .kind = api::WorkerKind::kTranscoder,
                .id = {1},
                .secret = "guess",
                .pipeline = {},
                .outcome = api::WorkOutput{},
                .delivered = {}
            };
            const auto sent = co_await rig.host->submit(std::move(report), rig.soon());
            CO_ASSERT(!sent);
            EXPECT_EQ(sent.error().code, Errc::kUnauthorized);
        }
        EXPECT_EQ(rig.service.refused_results, 1U) << "the other one was not even read";
    });
}

TEST_P(WireWorkers, ZeroCapacityIsRefusedForGood) {
    rig_.run([](Rig& rig) -> Task<void> {
        auto none = registration(api::WorkerKind::kTranscoder);
        none.capacity = 0;
        auto stream = co_await rig.host->register_worker(std::move(none), rig.soon());
        CO_ASSERT(stream);
        const auto task = co_await (*stream)->next();
        CO_ASSERT(!task);
        EXPECT_EQ(task.error().code, Errc::kInvalidArgument);
    });
}

TEST_P(WireWorkers, DroppingTheStreamEndsTheRegistration) {
    rig_.run([](Rig& rig) -> Task<void> {
        auto stream =
            co_await rig.host->register_worker(registration(api::WorkerKind::kTranscoder), rig.soon());
        CO_ASSERT(stream);
        co_await eventually(rig, [&rig] { return rig.service.registered == 1; });
        stream->reset();
        co_await eventually(rig, [&rig] { return rig.service.registered == 0; });
    });
}

TEST_P(WireWorkers, TheOrchestratorsEndReachesTheWorker) {
    rig_.run([](Rig& rig) -> Task<void> {
        auto stream =
            co_await rig.host->register_worker(registration(api::WorkerKind::kTranscoder), rig.soon());
        CO_ASSERT(stream);
        api::WorkerTask teardown;
        teardown.session_ended = "over";
        EXPECT_TRUE(rig.service.tasks.try_send(std::move(teardown)));
        auto task = co_await (*stream)->next();
        CO_ASSERT(task);
        EXPECT_EQ(task->session_ended, "over");
        rig.service.tasks.close();
        task = co_await (*stream)->next();
        CO_ASSERT(!task);
        EXPECT_EQ(task.error().code, Errc::kUnavailable);
    });
}

TEST_P(WireWorkers, FailuresOfWorkReachTheGateway) {
    rig_.run([](Rig& rig) -> Task<void> {
        struct Sides {
            static Task<Result<int>> worker(Rig& rig) {
                FG_CO_TRY(
                    stream,
                    co_await rig.host->register_worker(registration(api::WorkerKind::kTranscoder), rig.soon())
                );
                FG_CO_TRY(task, co_await stream->next());
                api::TaskReport report{
                    .kind = api::WorkerKind::kTranscoder,
                    .id = task.id,
                    .secret = kSecret,
                    .pipeline = {},
                    .outcome = fail(Errc::kTooLarge, "a frame of 100000x100000"),
                    .delivered = {}
                };
                FG_CO_CHECK(co_await rig.host->submit(std::move(report), rig.soon()));
                co_return 1;
            }
        };
        std::vector<Task<Result<int>>> sides;
        sides.push_back(Sides::worker(rig));
        sides.push_back(request_one(rig, transcode_job("work", kSegment, 1)));
        const auto results = co_await all_of(std::move(sides));
        CO_ASSERT(results[0]);
        CO_ASSERT(!results[1]);
        EXPECT_EQ(results[1].error().disposition, Disposition::kReject) << results[1].error().message;
    });
}

}  // namespace
}  // namespace framegrid::tests
