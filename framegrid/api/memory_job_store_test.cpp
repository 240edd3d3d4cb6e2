#include <framegrid/api/memory_job_store.hpp>

#include <framegrid/api/job_store_contract_for_test.hpp>
#include <framegrid/runtime/manual_clock.hpp>

namespace framegrid::api {
namespace {

class MemoryBench final : public JobStoreBench {
  public:
    JobStore& store() override { return store_; }
    void reopen() override {}

  private:
    ManualClock clock_;
    MemoryJobStore store_{clock_};
};

}  // namespace

INSTANTIATE_TEST_SUITE_P(Memory, JobStoreContract, testing::Values(JobStoreFactory([] {
                             return std::make_unique<MemoryBench>();
                         })));

}  // namespace framegrid::api
