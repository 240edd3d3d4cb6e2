#include <framegrid/wire/convert.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <framegrid/crypto/hash.hpp>
#include <framegrid/wire/peer_url.hpp>
#include <framegrid/wire/task_messages.hpp>

namespace framegrid::wire {
namespace {

job::Capabilities rich_capabilities() {
    auto capabilities = job::default_capabilities();
    capabilities.version = "0.9.1";
    capabilities.min_version = "0.8.0";
    capabilities.mandatories = {4096};
    capabilities.add_model(
        job::Capability::kUpscale, "framegrid/sr-2x",
        {.warm = true, .capacity = 3, .runner_version = "1.2.3", .capacity_in_use = 1}
    );
    return capabilities;
}

media::VideoProfile plain(const std::string& name) {
    media::VideoProfile profile;
    profile.name = name;
    profile.width = 640;
    profile.height = 360;
    profile.bitrate_bps = 800'000;
    profile.fps_num = 30;
    return profile;
}

TEST(Convert, CapabilitiesRoundTrip) {
    const auto capabilities = rich_capabilities();
    EXPECT_EQ(from_proto(to_proto(capabilities)).value(), capabilities);
    EXPECT_EQ(from_proto(to_proto(job::Capabilities{})).value(), job::Capabilities{});
    for (const auto& plain : {job::default_capabilities(), job::Capabilities{}}) {
        EXPECT_TRUE(to_proto(plain).has_constraints()) << "peers look into it unasked";
        EXPECT_EQ(to_proto(plain).constraints().percapability_size(), 0);
    }
}

TEST(Convert, CapabilitiesAreBounded) {
    net::Capabilities message;
    for (int i = 0; i < 17; ++i) {
        message.add_bitstring(1);
    }
    ASSERT_FALSE(from_proto(message));
    EXPECT_EQ(from_proto(message).error().field, "capabilities.bitstring");
    message.Clear();
    message.set_version(std::string(2000, 'v'));
    EXPECT_EQ(from_proto(message).error().field, "capabilities.version");
    message.Clear();
    for (std::uint32_t i = 0; i < 2000; ++i) {
        (*message.mutable_capacities())[i] = 1;
    }
    EXPECT_EQ(from_proto(message).error().field, "capabilities.capacities");
}

TEST(Convert, OnePriceThatIsNoneCostsThatModelOnly) {
    api::OrchestratorInfo info;
    info.service_uri = "https://127.0.0.1:8935";
    info.price = Price{.wei = 7, .units = 3};
    info.model_prices = {{{5, 1}, 30, "one"}, {{6, 1}, 30, "two"}};
    auto message = to_proto(info);
    message.mutable_capabilities_prices(0)->set_pixelsperunit(0);
    const auto back = from_proto(message);
    ASSERT_TRUE(back) << back.error().message;
    ASSERT_EQ(back->model_prices.size(), 1U);
    EXPECT_EQ(back->model_prices[0].model_id, "two");
}

TEST(Profiles, BitsOfOldGatewaysAreTheUsualDepth) {
    auto message = to_proto(plain("old"));
    message.set_colordepth(8);
    net::SegData segment;
    *segment.add_fullprofiles() = message;
    EXPECT_EQ(read_profiles(segment)->at(0).color_depth, 0);
}

TEST(PeerUrls, NamesOfProfilesAreEscaped) {
    const auto base = http::parse_url("https://node:8935").value();
    EXPECT_EQ(resolve(base, "/stream/x/720p 30/1.ts").value().target, "/stream/x/720p%2030/1.ts");
    EXPECT_EQ(resolve(base, "https://other/a%20b\xc3\xa9.ts").value().target, "/a%20b%C3%A9.ts");
}

TEST(Convert, OrchestratorInfoRoundTrip) {
    api::OrchestratorInfo info;
    info.service_uri = "https://127.0.0.1:8935";
    info.price = Price{.wei = 7, .units = 3};
    info.address = Bytes(20, 0xab);
    info.capabilities = rich_capabilities();
    info.auth_token = {.token = Bytes(32, 1), .session_id = "f1405ced", .expires_unix_s = 1'700'000'000};
    info.hardware = {{"upscale", "framegrid/sr-2x", {{"0", {"0", "GPU", 1, 2, 9, 0}}}}};
    info.model_prices = {{{5, 1}, 30, "framegrid/sr-2x"}};
    info.nodes = {"https://a:1", "https://b:2"};
    const auto back = from_proto(to_proto(info));
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(back->service_uri, info.service_uri);
    EXPECT_EQ(back->price, info.price);
    EXPECT_EQ(back->address, info.address);
    EXPECT_EQ(back->capabilities, info.capabilities);
    EXPECT_EQ(back->auth_token, info.auth_token);
    EXPECT_EQ(back->hardware, info.hardware);
    EXPECT_EQ(back->model_prices, info.model_prices);
    EXPECT_EQ(back->nodes, info.nodes);
}

TEST(Convert, OrchestratorInfoGoldenBytes) {
    api::OrchestratorInfo info;
    info.service_uri = "https://o";
    info.price = Price{.wei = 1, .units = 2};
    info.auth_token = {.token = {0xaa}, .session_id = "s", .expires_unix_s = 5};
    // 1: transcoder, 3: price_info{1, 2}, 6: auth_token{1, 2, 3}.
    EXPECT_EQ(
        crypto::hex(as_bytes(to_proto(info).SerializeAsString())),
        "0a0968747470733a2f2f6f"
        "1a0408011002"
        "32080a01aa12017318"
        "05"
    );
}

TEST(Convert, BadOrchestratorInfoNamesTheField) {
    net::OrchestratorInfo message;
    message.mutable_price_info()->set_priceperunit(1);
    EXPECT_EQ(from_proto(message).error().field, "price_info") << "0 pixels per unit";
    message.Clear();
    message.set_address("short");
    EXPECT_EQ(from_proto(message).error().field, "address");
    message.Clear();
    message.set_transcoder(std::string(10'000, 'x'));
    EXPECT_EQ(from_proto(message).error().field, "transcoder");
    message.Clear();
    EXPECT_TRUE(from_proto(message)) << "everything is optional off-chain";
}

TEST(Profiles, WriterChoosesTheOldestFieldThatFits) {
    net::SegData message;
    write_profiles({plain("a"), plain("b")}, message);
    EXPECT_EQ(message.fullprofiles_size(), 2);
    EXPECT_EQ(message.fullprofiles(0).fpsden(), 0U);
    message.Clear();
    auto mp4 = plain("c");
    mp4.container = media::Container::kMp4;
    write_profiles({plain("a"), mp4}, message);
    EXPECT_EQ(message.fullprofiles2_size(), 2);
    EXPECT_EQ(message.fullprofiles_size(), 0);
    const auto third = [](auto change) {
        auto profile = plain("x");
        change(profile);
        net::SegData data;
        write_profiles({plain("a"), profile}, data);
        return data.fullprofiles3_size() == 2 && data.fullprofiles_size() == 0 &&
               data.fullprofiles2_size() == 0;
    };
    EXPECT_TRUE(third([](auto& p) { p.fps_den = 1001; }));
    EXPECT_TRUE(third([](auto& p) { p.gop_ms = 2000; }));
    EXPECT_TRUE(third([](auto& p) { p.gop_ms = media::kGopIntra; }));
    EXPECT_TRUE(third([](auto& p) { p.h264_profile = media::H264Profile::kHigh; }));
    EXPECT_TRUE(third([](auto& p) { p.encoder = media::Encoder::kHevc; }));
    EXPECT_TRUE(third([](auto& p) { p.quality = 27; }));
}

TEST(Profiles, RoundTripOfEveryField) {
    auto profile = plain("full");
    profile.fps_num = 30'000;
    profile.fps_den = 1001;
    profile.container = media::Container::kMp4;
    profile.h264_profile = media::H264Profile::kConstrainedHigh;
    profile.gop_ms = 2000;
    profile.encoder = media::Encoder::kVp9;
    profile.color_depth = 2;
    profile.chroma = media::Chroma::k444;
    profile.quality = 27;
    EXPECT_EQ(from_proto(to_proto(profile), "p").value(), profile);
    EXPECT_EQ(from_proto(to_proto(plain("a")), "p").value(), plain("a"));
}

TEST(Profiles, ReaderPrefersTheNewestField) {
    net::SegData message;
    *message.add_fullprofiles() = to_proto(plain("one"));
    *message.add_fullprofiles2() = to_proto(plain("two"));
    EXPECT_EQ(read_profiles(message)->at(0).name, "two");
    *message.add_fullprofiles3() = to_proto(plain("three"));
    EXPECT_EQ(read_profiles(message)->at(0).name, "three");
}

TEST(Profiles, BadOnesNameTheField) {
    const auto field_of = [](auto change) {
        net::SegData message;
        *message.add_fullprofiles() = to_proto(plain("ok"));
        auto& bad = *message.add_fullprofiles();
        bad = to_proto(plain("bad"));
        change(bad);
        const auto profiles = read_profiles(message);
        return profiles ? std::string("accepted") : profiles.error().field;
    };
    EXPECT_EQ(field_of([](auto& p) { p.set_width(-1); }), "fullProfiles[1].width");
    EXPECT_EQ(field_of([](auto& p) { p.set_height(100'000); }), "fullProfiles[1].height");
    EXPECT_EQ(field_of([](auto& p) { p.set_bitrate(-5); }), "fullProfiles[1].bitrate");
    EXPECT_EQ(field_of([](auto& p) { p.set_colordepth(99); }), "fullProfiles[1].colorDepth");
    EXPECT_EQ(field_of([](auto& p) { p.set_name(std::string(5000, 'n')); }), "fullProfiles[1].name");
    EXPECT_EQ(
        field_of([](auto& p) { p.set_format(static_cast<net::VideoProfile::Format>(9)); }),
        "fullProfiles[1].format"
    );
    EXPECT_EQ(
        field_of([](auto& p) { p.set_encoder(static_cast<net::VideoProfile::VideoCodec>(9)); }),
        "fullProfiles[1].encoder"
    );
    net::SegData many;
    for (int i = 0; i < 11; ++i) {
        *many.add_fullprofiles() = to_proto(plain("p"));
    }
    EXPECT_EQ(read_profiles(many).error().field, "fullProfiles");
}

TEST(Profiles, MissingNamesAreDerivedBeforeAnythingIsChecked) {
    auto message = to_proto(plain(""));
    EXPECT_EQ(from_proto(message, "p")->name, "net_640x360_800000");
    message.set_fpsden(0);
    message.set_gop(-12345);
    EXPECT_EQ(from_proto(message, "p")->fps_den, 1U);
    EXPECT_EQ(from_proto(message, "p")->gop_ms, media::kGopIntra);
}

TEST(SegData, DurationRules) {
    net::SegData message;
    EXPECT_EQ(std::get<api::TranscodeWork>(from_proto(message)->work.kind).duration_ms, 2000);
    message.set_duration(-1);
    EXPECT_EQ(from_proto(message).error().field, "duration");
    message.set_duration(300'001);
    EXPECT_EQ(from_proto(message).error().field, "duration");
    message.set_duration(300'000);
    EXPECT_TRUE(from_proto(message));
}

TEST(SegData, ClipMustBeAWindow) {
    net::SegData message;
    message.mutable_segment_parameters()->set_from(500);
    message.mutable_segment_parameters()->set_to(1500);
    const auto job = from_proto(message);
    EXPECT_EQ(std::get<api::TranscodeWork>(job->work.kind).clip, (api::Clip{500, 1500}));
    message.mutable_segment_parameters()->set_from(1501);
    EXPECT_EQ(from_proto(message).error().field, "segment_parameters");
    message.mutable_segment_parameters()->set_to(UINT64_MAX);
    EXPECT_FALSE(from_proto(message));
}

TEST(Tasks, SegmentTaskRoundTrip) {
    api::WorkerTask task;
    task.id = {42};
    task.work.session_id = "session";
    task.work.trace = {"0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", false};
    task.work.kind =
        api::TranscodeWork{.profiles = {plain("a")}, .duration_ms = 4000, .clip = {}, .force_reinit = true};
    const auto message = write_segment_task(task, "https://o/stream/x");
    EXPECT_EQ(message.profiles(), "invalid");
    EXPECT_EQ(message.orchid(), "offchain");
    EXPECT_TRUE(message.segdata().hash().empty());
    const auto back = read_task(message);
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(back->id, task.id);
    EXPECT_EQ(back->input_url, "https://o/stream/x");
    EXPECT_EQ(back->work.session_id, "session");
    EXPECT_EQ(back->work.trace, task.work.trace);
    const auto& work = std::get<api::TranscodeWork>(back->work.kind);
    EXPECT_EQ(work.duration_ms, 4000);
    EXPECT_TRUE(work.force_reinit);
    EXPECT_EQ(work.profiles.at(0), plain("a"));
}

TEST(Tasks, TeardownNamesOnlyTheSession) {
    api::WorkerTask task;
    task.session_ended = "gone";
    const auto back = read_task(write_segment_task(task, ""));
    EXPECT_EQ(back->session_ended, "gone");
    EXPECT_FALSE(read_task(net::NotifySegment())) << "neither a URL nor a session";
}

TEST(Tasks, AiTaskRoundTrip) {
    api::WorkerTask task;
    task.id = {7};
    task.work.kind = api::AiWork{"upscale", "framegrid/sr-2x", R"({"seed":5})"};
    const auto message = write_ai_task(task, "https://o/stream/in");
    ASSERT_TRUE(message);
    const auto back = read_task(*message);
    ASSERT_TRUE(back);
    EXPECT_EQ(back->input_url, "https://o/stream/in");
    const auto& work = std::get<api::AiWork>(back->work.kind);
    EXPECT_EQ(work.pipeline, "upscale");
    EXPECT_EQ(work.model_id, "framegrid/sr-2x");
    EXPECT_EQ(work.parameters, R"({"seed":5})");
}

TEST(Tasks, RegistrationsRoundTrip) {
    api::Registration registration;
    registration.secret = "s3cret";
    registration.capacity = 4;
    registration.capabilities = rich_capabilities();
    const auto transcoder = read_registration(write_transcoder_registration(registration));
    EXPECT_EQ(transcoder->capacity, 4);
    EXPECT_EQ(transcoder->secret, "s3cret");
    EXPECT_EQ(transcoder->capabilities, registration.capabilities);
    registration.kind = api::WorkerKind::kAi;
    const auto ai = read_registration(write_ai_registration(registration));
    EXPECT_EQ(ai->kind, api::WorkerKind::kAi);
    EXPECT_EQ(ai->capacity, 3) << "of its models";
    net::RegisterRequest bare;
    EXPECT_EQ(read_registration(bare)->capabilities, job::default_capabilities());
}

TEST(LostJobs, RoundTripAndAreCut) {
    const api::LostJobs lost{3, 2, 0, 1, 7, Price{50, 1'000}};
    EXPECT_EQ(from_proto(to_proto(lost)), lost);
    net::LostJobs wild;
    wild.set_price(~std::uint64_t{0});
    wild.mutable_price_cap()->set_priceperunit(-1);
    wild.mutable_price_cap()->set_pixelsperunit(1);
    EXPECT_EQ(from_proto(wild), (api::LostJobs{Limits::kLostJobs, 0, 0, 0, 0, std::nullopt}));
    // A price without its unit would be a division by nothing.
    wild.mutable_price_cap()->set_priceperunit(1);
    wild.mutable_price_cap()->set_pixelsperunit(0);
    EXPECT_FALSE(from_proto(wild).price_cap);
}

TEST(LostJobs, PeersThatDoNotKnowThemReadTheRest) {
    net::OrchestratorRequest request;
    request.set_address("12345678901234567890");
    const std::string plain = request.SerializeAsString();
    *request.mutable_lost_jobs() = to_proto(api::LostJobs{3, 2, 0, 1, 7, Price{50, 1}});
    const std::string told = request.SerializeAsString();
    ASSERT_TRUE(told.starts_with(plain));
    // What comes after is one length-delimited field whose number no version of the network uses.
    EXPECT_EQ(told.substr(plain.size(), 2), "\xca\x3e");
    EXPECT_EQ(static_cast<std::size_t>(told.at(plain.size() + 2)), told.size() - plain.size() - 3);
}

TEST(ParseMessage, GarbageIsAnError) {
    EXPECT_FALSE(parse_message<net::SegData>("\xff\xff\xff\xff"));
    EXPECT_FALSE(parse_message<net::OrchestratorInfo>(std::string("\x0a\x7f", 2)));
    EXPECT_TRUE(parse_message<net::SegData>(""));
}

}  // namespace
}  // namespace framegrid::wire
