// What a worker adds to ONNX Runtime.
//   worker_overhead FRAMEGRID MODELS_DIR [ROUNDS]
// Pictures through the pool of sandboxed executor processes, against a loop that makes the same calls of the
// same networks, with the same tensors and threads, and nothing else. In turns; the medians of both, and of
// the ratios of neighbours, of elapsed and of processor time (which other tenants of the machine disturb
// less). Exit status 1 when that of elapsed time is over 1.03.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>

#include <unistd.h>

#define ORT_API_MANUAL_INIT  // infer_onnx has loaded the library
#include <onnxruntime_cxx_api.h>
#include <onnxruntime_session_options_config_keys.h>

#include <framegrid/engine/no_transcoder.hpp>
#include <framegrid/engine/work_runner.hpp>
#include <framegrid/host/loop.hpp>
#include <framegrid/host/steady_now.hpp>
#include <framegrid/infer_onnx/model_store.hpp>
#include <framegrid/media_ffmpeg/media_codec.hpp>
#include <framegrid/sandbox/pool.hpp>

namespace {

using namespace framegrid;

constexpr const char* kModel = "framegrid/scenes";
constexpr double kRatioMax = 1.03;

api::Work picture() {
    return {
        "",
        api::AiWork{
            "text-to-image", kModel,
            R"({"prompt":"a red ring on the left over blue","num_inference_steps":20})"
        },
        {},
        ""
    };
}

// One call of a network, and what it was given.
struct Call {
    std::string network;
    std::vector<std::pair<std::string, api::Tensor>> inputs;
};

class RecordingModel : public api::TensorModel {
  public:
    RecordingModel(std::string name, api::TensorModel& model, std::vector<Call>& calls)
        : name_(std::move(name)), model_(model), calls_(calls) {}
    const std::vector<api::TensorInfo>& inputs() const override { return model_.inputs(); }
    const std::vector<api::TensorInfo>& outputs() const override { return model_.outputs(); }
    Result<std::vector<api::Tensor>> run(std::span<const api::NamedTensor> inputs) override {
        Call call{name_, {}};
        for (const auto& input : inputs) {
            call.inputs.emplace_back(input.name, *input.tensor);
        }
        calls_.push_back(std::move(call));
        return model_.run(inputs);
    }

  private:
    std::string name_;
    api::TensorModel& model_;
    std::vector<Call>& calls_;
};

class RecordingLease : public engine::ModelLease {
  public:
    RecordingLease(std::unique_ptr<engine::ModelLease> lease, std::vector<Call>& calls)
        : lease_(std::move(lease)), calls_(calls) {}
    const engine::ModelManifest& manifest() const override { return lease_->manifest(); }
    const std::string& digest() const override { return lease_->digest(); }
    api::ImageModel& model() override { return lease_->model(); }
    Result<api::TensorModel*> network(const std::string& name) override {
        FG_TRY(network, lease_->network(name));
        networks_.push_back(std::make_unique<RecordingModel>(name, *network, calls_));
        return networks_.back().get();
    }
    Result<Blob> file(const std::string& path) override { return lease_->file(path); }
    std::any& memo() override { return lease_->memo(); }

  private:
    std::unique_ptr<engine::ModelLease> lease_;
    std::vector<Call>& calls_;
    std::vector<std::unique_ptr<RecordingModel>> networks_;
};

class RecordingSource : public engine::ModelSource {
  public:
    RecordingSource(engine::ModelSource& source, std::vector<Call>& calls) : source_(source), calls_(calls) {}
    Result<std::unique_ptr<engine::ModelLease>> acquire(const std::string& pipeline, const std::string& id)
        override {
        FG_TRY(lease, source_.acquire(pipeline, id));
        return std::make_unique<RecordingLease>(std::move(lease), calls_);
    }
    std::vector<engine::ModelManifest> manifests() const override { return source_.manifests(); }

  private:
    engine::ModelSource& source_;
    std::vector<Call>& calls_;
};

// The calls of one picture. Loads the library, and unloads the model again.
Result<std::vector<Call>> record(const std::string& models) {
    std::vector<Call> calls;
    infer_onnx::ModelStoreSettings settings;
    settings.directories = {models};
    settings.onnx.provider = "cpu";
    FG_TRY(store, infer_onnx::ModelStore::open(settings));
    RecordingSource source(*store, calls);
    engine::NoTranscoder transcoder;
    media_ffmpeg::FfmpegMediaCodec codec;
    engine::WorkRunner runner(transcoder, codec, source, &host::steady_now);
    const api::StopFlag stop{false};
    FG_TRY(drawn, runner.run(picture(), {stop}));
    (void)drawn;
    return calls;
}

// Sessions with the options of infer_onnx, and tensors that wait in memory.
class Bare {
  public:
    Bare(const std::filesystem::path& model, const std::vector<Call>& calls, int threads) : calls_(calls) {
        Ort::SessionOptions options;
        options.SetIntraOpNumThreads(threads);
        options.SetInterOpNumThreads(1);
        options.SetGraphOptimizationLevel(ORT_ENABLE_ALL);
        options.DisableMemPattern();
        options.AddConfigEntry(kOrtSessionOptionsConfigAllowIntraOpSpinning, "0");
        for (const auto& call : calls_) {
            if (!sessions_.contains(call.network)) {
                const auto path = model / call.network / "model.onnx";
                sessions_.emplace(call.network, Ort::Session(env_, path.c_str(), options));
            }
            prepare(call);
        }
    }
    void run() {
        for (std::size_t i = 0; i < calls_.size(); ++i) {
            Ort::Session& session = sessions_.at(calls_[i].network);
            const std::string output = session.GetOutputNameAllocated(0, allocator_).get();
            const char* output_name = output.c_str();
            const auto& [names, values] = prepared_[i];
            (void)session.Run(
                Ort::RunOptions{nullptr}, names.data(), values.data(), values.size(), &output_name, 1
            );
        }
    }

  private:
    struct Prepared {
        std::vector<const char*> names;
        std::vector<Ort::Value> values;
    };

    void prepare(const Call& call) {
        Prepared out;
        for (const auto& [name, tensor] : call.inputs) {
            out.names.push_back(name.c_str());
            const auto& shape = tensor.shape;
            if (std::holds_alternative<std::vector<float>>(tensor.values)) {
                auto& floats = const_cast<std::vector<float>&>(tensor.floats());
                out.values.push_back(Ort::Value::CreateTensor<float>(
                    memory_, floats.data(), floats.size(), shape.data(), shape.size()
                ));
            } else {
                auto& integers = const_cast<std::vector<std::int64_t>&>(tensor.integers());
                out.values.push_back(Ort::Value::CreateTensor<std::int64_t>(
                    memory_, integers.data(), integers.size(), shape.data(), shape.size()
                ));
            }
        }
        prepared_.push_back(std::move(out));
    }

    const std::vector<Call>& calls_;
    Ort::Env env_{ORT_LOGGING_LEVEL_FATAL, "bare"};
    Ort::AllocatorWithDefaultOptions allocator_;
    Ort::MemoryInfo memory_ = Ort::MemoryInfo::CreateCpu(OrtDeviceAllocator, OrtMemTypeDefault);
    std::map<std::string, Ort::Session> sessions_;
    std::vector<Prepared> prepared_;
};

Task<Result<int>> draw_into(sandbox::ExecutorPool& pool, Deadline deadline, Result<api::WorkOutput>& out) {
    out = co_await pool.run(picture(), deadline, {});
    co_return 0;
}

Task<Result<int>> stop(sandbox::ExecutorPool& pool) {
    co_await pool.stop();
    co_return 0;
}

// A worker's pool with one executor.
class Worker {
  public:
    Worker(const std::string& program, const std::string& models, int threads)
        : pool_({loop_.executor(), clock_, threads_, Logger()}, settings(program, models, threads)) {}
    ~Worker() { (void)loop_.run_main(stop(pool_)); }
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    Result<void> draw() {
        Result<api::WorkOutput> out;
        const auto deadline = Deadline::after(clock_, std::chrono::minutes(5));
        FG_CHECK(loop_.run_main(draw_into(pool_, deadline, out)));
        return out ? Result<void>() : fail(std::move(out.error()));
    }

  private:
    static sandbox::ExecutorSettings settings(
        const std::string& program, const std::string& models, int threads
    ) {
        sandbox::ExecutorSettings out;
        out.argv = {program,      "executor", "--models",  models,
                    "--provider", "cpu",      "--threads", std::to_string(threads)};
        out.readable = {models};
        return out;
    }

    host::Loop loop_;
    host::SteadyClock clock_{loop_.executor()};
    host::ThreadPool threads_{1};
    sandbox::ExecutorPool pool_;
};

double seconds_since(TimePoint began) {
    return std::chrono::duration<double>(host::steady_now() - began).count();
}

// Processor time of this process and its only child.
double processor_s() {
    double sum = 0;
    ::pid_t child = 0;
    std::ifstream("/proc/self/task/" + std::to_string(::getpid()) + "/children") >> child;
    for (const ::pid_t pid : {::getpid(), child}) {
        ::clockid_t clock{};
        ::timespec time{};
        if (pid != 0 && ::clock_getcpuclockid(pid, &clock) == 0 && ::clock_gettime(clock, &time) == 0) {
            sum += static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
        }
    }
    return sum;
}

double median(std::vector<double> values) {
    std::ranges::sort(values);
    return values[values.size() / 2];
}

Result<double> compare(const std::string& program, const std::string& models, int rounds) {
    const int threads = static_cast<int>(host::cpu_count());
    FG_TRY(calls, record(models));
    Bare bare(std::filesystem::path(models) / kModel, calls, threads);
    Worker worker(program, models, threads);
    bare.run();
    FG_CHECK(worker.draw());
    std::vector<double> bare_s;
    std::vector<double> worker_s;
    std::vector<double> ratios;
    std::vector<double> processor_ratios;
    for (int i = 0; i < rounds; ++i) {
        TimePoint began = host::steady_now();
        const double start = processor_s();
        bare.run();
        bare_s.push_back(seconds_since(began));
        const double between = processor_s();
        began = host::steady_now();
        FG_CHECK(worker.draw());
        worker_s.push_back(seconds_since(began));
        ratios.push_back(worker_s.back() / bare_s.back());
        processor_ratios.push_back((processor_s() - between) / (between - start));
    }
    const double ratio = median(ratios);
    std::printf(
        "{\"bench\":\"worker_overhead\",\"network_calls\":%zu,\"threads\":%d,\"rounds\":%d,"
        "\"bare_pictures_per_s\":%.3f,\"worker_pictures_per_s\":%.3f,\"overhead\":%.4f,"
        "\"processor_overhead\":%.4f,\"bar\":\"overhead <= 0.03\",\"passed\":%s}\n",
        calls.size(), threads, rounds, 1 / median(bare_s), 1 / median(worker_s), ratio - 1,
        median(processor_ratios) - 1, ratio <= kRatioMax ? "true" : "false"
    );
    return ratio;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3) {
        std::fprintf(stderr, "usage: worker_overhead FRAMEGRID MODELS_DIR [ROUNDS]\n");
        return 2;
    }
    const auto models = std::filesystem::absolute(argv[2]).string();
    const auto ratio = compare(argv[1], models, argc > 3 ? std::max(1, std::atoi(argv[3])) : 41);
    if (!ratio) {
        std::fprintf(stderr, "%s\n", ratio.error().message.c_str());
        return 1;
    }
    return *ratio <= kRatioMax ? 0 : 1;
}
