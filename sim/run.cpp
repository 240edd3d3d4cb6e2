#include <sim/run.hpp>

#include <fmt/format.h>

#include <sim/chaos.hpp>

namespace framegrid::sim {

using namespace std::chrono_literals;

namespace {

constexpr Duration kStartUp = 5s;     // nodes start in the first second
constexpr double kFaultyShare = 0.7;  // of the jobs; the rest is done in peace
constexpr Duration kFaultyMax = 300s;
constexpr Duration kLivenessMax = 600s;  // for all that is left after healing
constexpr Duration kRestMin = 100s;      // suspensions, idle sessions and streams end within this
constexpr Duration kRestMax = 1200s;     // an AI task may keep a device this long

class Runner {
  public:
    explicit Runner(const RunSettings& settings)
        : random_(settings.seed * 0x9e3779b97f4a7c15ULL + settings.nodes),
          world_(std::make_unique<World>(
              settings, draw_plan(settings, random_), scheduler_, random_, trace_, report_.verdict
          )),
          chaos_(*world_),
          clients_(*world_),
          checkers_(*world_) {
        report_.settings = settings;
    }

    RunReport go() {
        report_.plan = describe(world_->plan);
        report_.mild = world_->plan.mild;
        world_->start();
        checkers_.start();
        scheduler_.after(kStartUp, [this] {
            clients_.start();
            chaos_.start();
        });
        live();
        return std::move(report_);
    }

  private:
    void live() {
        const auto enough = [this] { return clients_.ended() >= kFaultyShare * world_->settings.jobs; };
        bool turning = advance(kFaultyMax, enough);
        chaos_.stop();
        world_->heal();
        turning = turning && advance(kLivenessMax, [this] { return clients_.finished(); });
        clients_.check_finished();
        if (turning && clients_.finished()) {
            turning = advance(kRestMin, [] { return false; });
            const TimePoint limit = scheduler_.now() + kRestMax;
            while (turning && scheduler_.now() < limit && !checkers_.quiet()) {
                turning = advance(1s, [] { return false; });
            }
            checkers_.check_at_rest();
        }
        fill();
        if (!turning) {
            report_.verdict.fail("livelock", "something runs in circles without time passing");
            (void)world_.release();  // its coroutines cannot be ended; the process is about to end anyway
            return;
        }
        world_->shut_down();
    }

    bool advance(Duration most, const std::function<bool()>& done) {
        return scheduler_.run_until(scheduler_.now() + most, done) != Scheduler::Outcome::kLivelock;
    }

    void fill() {
        report_.clients = clients_.stats();
        report_.totals = world_->totals();
        report_.peaks = checkers_.peaks();
        report_.network = world_->network.stats();
        report_.faults = chaos_.counts();
        report_.virtual_seconds = static_cast<double>(scheduler_.now().time_since_epoch().count()) / 1e9;
        report_.steps = scheduler_.steps();
        report_.trace_hash = trace_.hash();
    }

    RunReport report_;
    Scheduler scheduler_;
    Trace trace_;
    SeededRandom random_;
    std::unique_ptr<World> world_;
    Chaos chaos_;
    Clients clients_;
    Checkers checkers_;
};

}  // namespace

RunReport run(const RunSettings& settings) {
    auto runner = std::make_unique<Runner>(settings);
    RunReport report = runner->go();
    for (const Finding& finding : report.verdict.findings()) {
        if (finding.checker == "livelock" || finding.checker == "unwinding") {
            (void)runner.release();  // coroutines that do not end still refer to it
            break;
        }
    }
    return report;
}

}  // namespace framegrid::sim
