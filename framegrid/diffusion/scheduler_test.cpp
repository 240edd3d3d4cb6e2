#include <framegrid/diffusion/scheduler.hpp>

#include <array>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <framegrid/diffusion/json_reader.hpp>

namespace framegrid::diffusion {
namespace {

namespace json = boost::json;

std::vector<float> floats(const json::value& list) {
    std::vector<float> out;
    for (const auto& item : list.as_array()) {
        out.push_back(item.to_number<float>());
    }
    return out;
}

// The largest difference, as a part of the largest reference value.
double relative_error(const std::vector<float>& got, const std::vector<float>& want) {
    EXPECT_EQ(got.size(), want.size());
    double difference = 0;
    double largest = 1e-6;
    for (std::size_t i = 0; i < std::min(got.size(), want.size()); ++i) {
        const double d = std::abs(static_cast<double>(got[i]) - want[i]);
        difference = d <= difference ? difference : d;
        largest = std::max(largest, std::abs(static_cast<double>(want[i])));
    }
    return difference / largest;
}

std::unique_ptr<Scheduler> make(std::string_view config) {
    const auto parsed = parse_scheduler_config(as_bytes(config));
    EXPECT_TRUE(parsed) << config << ": " << parsed.error().message;
    return parsed ? make_scheduler(*parsed) : nullptr;
}

double run_case(const json::value& c) {
    const std::string name(c.at("name").as_string());
    const auto scheduler = make(c.at("config").as_string());
    if (scheduler == nullptr) {
        return 1;
    }
    EXPECT_TRUE(scheduler->set_steps(c.at("steps").to_number<int>())) << name;
    const int begin = c.at("begin").to_number<int>();
    scheduler->begin(begin);
    EXPECT_LT(relative_error(scheduler->timesteps(), floats(c.at("timesteps"))), 1e-6) << name;
    EXPECT_NEAR(scheduler->init_noise_sigma() / c.at("init_noise_sigma").to_number<double>(), 1, 1e-5)
        << name;
    std::vector<float> noised = floats(c.at("clean"));
    scheduler->add_noise(noised, floats(c.at("noise")), begin);
    double worst = relative_error(noised, floats(c.at("noised")));
    std::vector<float> sample = floats(c.at("start"));
    for (const auto& call : c.at("calls").as_array()) {
        std::vector<float> scaled = sample;
        for (float& value : scaled) {
            value *= static_cast<float>(scheduler->input_scale(scheduler->position()));
        }
        worst = std::max(worst, relative_error(scaled, floats(call.at("scaled"))));
        scheduler->step(floats(call.at("prediction")), floats(call.at("noise")), sample);
        worst = std::max(worst, relative_error(sample, floats(call.at("sample"))));
    }
    EXPECT_TRUE(scheduler->done()) << name;
    EXPECT_EQ(scheduler->clean().size(), sample.size());
    EXPECT_LT(worst, 1e-4) << name;
    return worst;
}

TEST(scheduler, follows_diffusers) {
    std::ifstream file(FG_DIFFUSION_FIXTURES "/schedulers.json");
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const json::value cases = json::parse(text);
    std::printf("%-34s %s\n", "scheduler", "largest relative error of a step");
    for (const auto& c : cases.as_array()) {
        std::printf("%-34s %.1e\n", c.at("name").as_string().c_str(), run_case(c));
    }
    EXPECT_GE(cases.as_array().size(), 40U);
}

TEST(scheduler, refuses_what_it_cannot_do) {
    const struct {
        const char* config;
        const char* key;
        Errc code = Errc::kUnsupported;
    } cases[] = {
        {R"({"_class_name":"HeunDiscreteScheduler"})", "_class_name"},
        {R"({})", "_class_name", Errc::kInvalidArgument},
        {R"({"_class_name":"PNDMScheduler"})", "skip_prk_steps"},
        {R"({"_class_name":"PNDMScheduler","skip_prk_steps":true,"prediction_type":"sample"})",
         "prediction_type"},
        {R"({"_class_name":"DDIMScheduler","beta_schedule":"sigmoid"})", "beta_schedule"},
        {R"({"_class_name":"DDIMScheduler","thresholding":true})", "thresholding"},
        {R"({"_class_name":"DDIMScheduler","trained_betas":[0.1]})", "trained_betas"},
        {R"({"_class_name":"DDIMScheduler","beta_start":"x"})", "beta_start", Errc::kInvalidArgument},
        {R"({"_class_name":"DDIMScheduler","beta_end":1.5})", "beta_end", Errc::kInvalidArgument},
        {R"({"_class_name":"DDIMScheduler","num_train_timesteps":1e9})", "num_train_timesteps",
         Errc::kInvalidArgument},
        {R"({"_class_name":"EulerDiscreteScheduler","interpolation_type":"log_linear"})", "interpolation_type"
        },
        {R"({"_class_name":"EulerDiscreteScheduler","use_beta_sigmas":true})", "use_beta_sigmas"},
        {R"({"_class_name":"DPMSolverMultistepScheduler","algorithm_type":"sde-dpmsolver++"})",
         "algorithm_type"},
        {R"({"_class_name":"DPMSolverMultistepScheduler","solver_order":3})", "solver_order"},
        {R"({"_class_name":"DPMSolverMultistepScheduler","use_lu_lambdas":true})", "use_lu_lambdas"},
        {R"({"_class_name":"FlowMatchEulerDiscreteScheduler","use_dynamic_shifting":true})",
         "use_dynamic_shifting"},
        {R"({"_class_name":"FlowMatchEulerDiscreteScheduler","shift":NaN})", "shift", Errc::kInvalidArgument},
        {R"({"_class_name":"LCMScheduler","original_inference_steps":0})", "original_inference_steps",
         Errc::kInvalidArgument},
    };
    for (const auto& c : cases) {
        const auto config = parse_scheduler_config(as_bytes(std::string_view(c.config)));
        ASSERT_FALSE(config) << c.config;
        EXPECT_EQ(config.error().code, c.code) << c.config;
        EXPECT_EQ(config.error().field, std::string("scheduler/scheduler_config.json: ") + c.key) << c.config;
    }
    EXPECT_FALSE(parse_scheduler_config(as_bytes(std::string_view("[]"))));
    EXPECT_EQ(parse_scheduler_config(Bytes(kConfigBytesMax + 1, ' ')).error().code, Errc::kTooLarge);
}

TEST(scheduler, steps_are_bounded) {
    const auto scheduler = make(R"({"_class_name":"DDIMScheduler","num_train_timesteps":100})");
    for (const int steps : {0, -1, 101, 1 << 30}) {
        EXPECT_EQ(scheduler->set_steps(steps).error().field, "num_inference_steps") << steps;
    }
    EXPECT_TRUE(scheduler->set_steps(100));
    const auto lcm = make(R"({"_class_name":"LCMScheduler","original_inference_steps":8})");
    EXPECT_FALSE(lcm->set_steps(9));
    EXPECT_TRUE(lcm->set_steps(8));
    const auto offset = make(R"({"_class_name":"DDIMScheduler","steps_offset":900})");
    EXPECT_EQ(offset->set_steps(10).error().field, "num_inference_steps");
}

TEST(scheduler, betas_without_a_picture_left) {
    const auto scheduler =
        make(R"({"_class_name":"EulerDiscreteScheduler","use_karras_sigmas":true,"beta_start":0.9,)"
             R"("beta_end":0.99})");
    EXPECT_EQ(scheduler->set_steps(5).error().code, Errc::kUnsupported);
}

// Whatever the options: no step count may leave the tables or make a number that is not finite.
TEST(scheduler, every_step_count_is_finite) {
    constexpr std::array kKinds{
        "DDIM",
        "PNDM",
        "EulerDiscrete",
        "EulerAncestralDiscrete",
        "DPMSolverMultistep",
        "LCM",
        "FlowMatchEulerDiscrete"
    };
    for (const char* kind : kKinds) {
        for (const char* spacing : {"leading", "trailing", "linspace"}) {
            const auto scheduler = make(
                R"({"skip_prk_steps":true,"beta_start":0.00085,"beta_end":0.012,)"
                R"("beta_schedule":"scaled_linear",)"
                R"("_class_name":")" +
                std::string(kind) + R"(Scheduler","timestep_spacing":")" + spacing + "\"}"
            );
            for (int steps = 1; steps <= 50; ++steps) {
                ASSERT_TRUE(scheduler->set_steps(steps)) << kind << spacing << steps;
                scheduler->begin(steps / 3);
                std::vector<float> sample{1, -1, 0.5F};
                const std::vector<float> noise{0.2F, 0.1F, -1};
                while (!scheduler->done()) {
                    scheduler->step(noise, noise, sample);
                }
                for (const float value : sample) {
                    EXPECT_TRUE(std::isfinite(value)) << kind << spacing << steps;
                }
            }
        }
    }
}

}  // namespace
}  // namespace framegrid::diffusion
