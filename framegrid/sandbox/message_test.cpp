#include <framegrid/sandbox/message.hpp>

#include <random>

#include <gtest/gtest.h>

namespace framegrid::sandbox {
namespace {

Message round_trip(const Message& message) {
    FrameReader reader;
    reader.append(encode(message).value());
    auto out = reader.next();
    EXPECT_TRUE(out && *out);
    EXPECT_FALSE(reader.next().value());
    return **out;
}

RunMessage transcode_run() {
    media::VideoProfile profile;
    profile.name = "p";
    profile.width = 640;
    profile.height = -2;
    profile.bitrate_bps = 1'000'000'000'000;
    profile.gop_ms = media::kGopIntra;
    profile.encoder = media::Encoder::kVp9;
    profile.chroma = media::Chroma::k444;
    RunMessage message;
    message.task = 7;
    message.work.session_id = "session";
    message.work.kind = api::TranscodeWork{{profile, profile}, 1999, api::Clip{5, 10}, true, true};
    message.work.input = Blob::copy_of("small");
    message.input_shared = 1'000'000;
    return message;
}

DoneMessage done() {
    OutputMessage output;
    output.decoded = Pixels{12};
    output.ai = api::AiRun{"a/b", "00ff", 20, 1234};
    output.artifacts.push_back({{"a", "video/mp2t", Blob::copy_of("bytes"), Pixels{3}, -5}, std::nullopt});
    output.artifacts.push_back({{"b", "video/mp4", {}, Pixels{4}, std::nullopt}, Region{10, 20}});
    return {9, std::move(output), true};
}

TEST(Message, RoundTrips) {
    const SetupMessage setup{1ULL << 40U, true, {"/usr", "/models"}};
    EXPECT_EQ(std::get<SetupMessage>(round_trip(setup)), setup);
    const ReadyMessage ready{{"landlock"}};
    EXPECT_EQ(std::get<ReadyMessage>(round_trip(ready)), ready);
    EXPECT_EQ(std::get<CancelMessage>(round_trip(CancelMessage{3})).task, 3U);
    EXPECT_EQ(std::get<EndSessionMessage>(round_trip(EndSessionMessage{"s"})).session_id, "s");
    EXPECT_EQ(std::get<PrepareMessage>(round_trip(PrepareMessage{})), PrepareMessage{});
}

TEST(Message, RoundTripsUse) {
    UsageMessage sent;
    sent.use = {"cuda:1", 1'000, 2'000,
                3,        4,     {{"a/b", 1, 2, 3, 4, 5, 6, 7, 8}, {"c", 0, 0, 0, 0, 0, 0, -1, 0}}};
    EXPECT_EQ(std::get<UsageMessage>(round_trip(sent)), sent);
    sent.use.models.assign(1, {"new\nline \xff" + std::string(500, 'x'), 0, 0, 0, 0, 0, 0, 0, 0});
    const auto got = std::get<UsageMessage>(round_trip(sent)).use.models.at(0).id;
    EXPECT_EQ(got, "new?line ?" + std::string(190, 'x'));
    sent.use.models.assign(api::kModelUsesMax + 10, {});
    EXPECT_EQ(std::get<UsageMessage>(round_trip(sent)).use.models.size(), api::kModelUsesMax);
}

TEST(Message, RoundTripsWork) {
    RunMessage sent = transcode_run();
    sent.work.trace.trace_id = std::string(32, 'a');
    const auto got = std::get<RunMessage>(round_trip(sent));
    const auto& work = std::get<api::TranscodeWork>(got.work.kind);
    const auto& expected = std::get<api::TranscodeWork>(sent.work.kind);
    EXPECT_EQ(got.work.trace.trace_id, sent.work.trace.trace_id);
    EXPECT_EQ(got.task, 7U);
    EXPECT_EQ(work.profiles, expected.profiles);
    EXPECT_EQ(work.clip, expected.clip);
    EXPECT_EQ(work.duration_ms, 1999);
    EXPECT_TRUE(work.force_reinit);
    EXPECT_TRUE(work.early);
    EXPECT_EQ(got.work.input.text(), "small");
    EXPECT_EQ(got.input_shared, 1'000'000U);
    EXPECT_FALSE(got.output_shared);

    RunMessage ai;
    ai.task = 1;
    ai.slot = 5;
    ai.deadline_ms = 900'000;
    ai.work.priority = api::Priority::kLow;
    ai.work.kind = api::AiWork{"upscale", "m", R"({"scale":2})", true, 4};
    const auto ai_got = std::get<RunMessage>(round_trip(ai));
    EXPECT_EQ(std::get<api::AiWork>(ai_got.work.kind), std::get<api::AiWork>(ai.work.kind));
    EXPECT_EQ(ai_got.slot, 5U);
    EXPECT_EQ(ai_got.deadline_ms, 900'000U);
    EXPECT_EQ(ai_got.work.priority, api::Priority::kLow);
    ai.slot = kSlotsMax;
    EXPECT_FALSE(decode(BytesView(encode(ai).value()).subspan(4)));
}

TEST(Message, RoundTripsProgress) {
    const ProgressMessage sent{7, {3, 20, Blob::copy_of("jpeg")}};
    const auto got = std::get<ProgressMessage>(round_trip(sent));
    EXPECT_EQ(got.task, 7U);
    EXPECT_EQ(got.progress.done, 3);
    EXPECT_EQ(got.progress.total, 20);
    EXPECT_EQ(got.progress.preview.text(), "jpeg");
    for (const auto& [done, total] : {std::pair{-1, 5}, std::pair{6, 5}, std::pair{0, 0}}) {
        const ProgressMessage odd{7, {done, total, {}}};
        EXPECT_FALSE(decode(BytesView(encode(odd).value()).subspan(4)));
    }
}

TEST(Message, RoundTripsOutcomes) {
    const auto got = std::get<DoneMessage>(round_trip(done()));
    ASSERT_TRUE(got.outcome);
    EXPECT_TRUE(got.retire);
    ASSERT_EQ(got.outcome->artifacts.size(), 2U);
    EXPECT_EQ(got.outcome->artifacts[0].artifact.bytes.text(), "bytes");
    EXPECT_EQ(got.outcome->artifacts[0].artifact.seed, -5);
    EXPECT_EQ(got.outcome->artifacts[1].region, (Region{10, 20}));

    EarlyMessage sent{4, 2, done().outcome->artifacts[1]};
    const auto early = std::get<EarlyMessage>(round_trip(sent));
    EXPECT_EQ(early.task, 4U);
    EXPECT_EQ(early.index, 2U);
    EXPECT_EQ(early.entry.region, (Region{10, 20}));

    const DoneMessage failed{1, fail(Errc::kUnprocessable, "bad\nmedia", "input"), false};
    const auto error = std::get<DoneMessage>(round_trip(failed)).outcome.error();
    EXPECT_EQ(error.code, Errc::kUnprocessable);
    EXPECT_EQ(error.message, "bad?media");
    EXPECT_EQ(error.field, "input");
}

TEST(Message, RefusesTruncatedChangedAndOversizedFrames) {
    for (const Message& message :
         {Message(transcode_run()), Message(done()), Message(EarlyMessage{4, 2, done().outcome->artifacts[0]})
         }) {
        const Bytes frame = encode(message).value();
        const BytesView payload = BytesView(frame).subspan(4);
        for (std::size_t size = 0; size < payload.size(); ++size) {
            EXPECT_FALSE(decode(payload.first(size))) << size;
        }
        Bytes longer(payload.begin(), payload.end());
        longer.push_back(0);
        EXPECT_FALSE(decode(longer));
        std::minstd_rand random(1);
        for (int i = 0; i < 20'000; ++i) {
            Bytes changed(payload.begin(), payload.end());
            changed[random() % changed.size()] = static_cast<std::uint8_t>(random());
            (void)decode(changed);
        }
    }
    FrameReader reader;
    reader.append(Bytes{0xff, 0xff, 0xff, 0xff});
    EXPECT_EQ(reader.next().error().code, Errc::kProtocol);
    RunMessage huge;
    huge.work.kind = api::AiWork{"p", "m", std::string(kMessageBytesMax, 'x')};
    EXPECT_EQ(encode(huge).error().code, Errc::kTooLarge);
}

TEST(Message, RefusesNamesWithControlCharactersAndNegativeSizes) {
    DoneMessage message = done();
    message.outcome->artifacts[0].artifact.name = "a\r\nb";
    EXPECT_FALSE(decode(BytesView(encode(message).value()).subspan(4)));
    message = done();
    message.outcome->artifacts[0].artifact.pixels = Pixels{-1};
    EXPECT_FALSE(decode(BytesView(encode(message).value()).subspan(4)));
}

TEST(Message, ReadsFramesByteByByte) {
    const Bytes frame = encode(CancelMessage{77}).value();
    FrameReader reader;
    for (int round = 0; round < 3; ++round) {
        for (std::size_t i = 0; i < frame.size(); ++i) {
            EXPECT_FALSE(reader.next().value());
            reader.append(BytesView(frame).subspan(i, 1));
        }
        EXPECT_EQ(std::get<CancelMessage>(*reader.next().value()).task, 77U);
    }
}

}  // namespace
}  // namespace framegrid::sandbox
