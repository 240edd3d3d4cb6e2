// Uploads in memory: for tests.
#pragma once

#include <map>
#include <utility>

#include <framegrid/api/uploads.hpp>

namespace framegrid::api {

// Single-threaded.
class MemoryUploads final : public Uploads {
  public:
    MemoryUploads(Objects& objects, Clock& clock) : objects_(objects), clock_(clock) {}

    Task<Result<void>> create(UploadRecord record) override {
        const auto id = record.id;
        record.touched_unix_ms = clock_.unix_ms();
        all_[id] = {std::move(record), {}};
        co_return Result<void>{};
    }
    Result<UploadRecord> find(const std::string& id) const override {
        const auto found = all_.find(id);
        if (found == all_.end()) {
            return fail(Errc::kNotFound, "there is no such upload", "id");
        }
        return found->second.record;
    }
    Task<Result<void>> append(std::string id, Blob piece) override {
        auto& one = all_.at(id);
        if (piece.size() > one.record.bytes - one.record.received) {
            co_return fail(Errc::kTooLarge, "more bytes than Upload-Length announced", "upload-length");
        }
        one.bytes.insert(one.bytes.end(), piece.view().begin(), piece.view().end());
        one.record.received = one.bytes.size();
        one.record.touched_unix_ms = clock_.unix_ms();
        co_return Result<void>{};
    }
    Task<Result<void>> settle(std::string /*id*/) override { co_return Result<void>{}; }
    Task<Result<ObjectInfo>> store(std::string id) override {
        co_return co_await put_object(objects_, Blob(all_.at(id).bytes), Deadline{});
    }
    Task<Result<void>> finish(std::string id, std::string artifact) override {
        all_.at(id).record.artifact = std::move(artifact);
        co_return Result<void>{};
    }
    Task<Result<void>> remove(std::string id) override {
        all_.erase(id);
        co_return Result<void>{};
    }
    UploadUsage usage(const std::string& owner) const override {
        UploadUsage out;
        for (const auto& [id, one] : all_) {
            if (one.record.owner == owner && one.record.artifact.empty()) {
                ++out.uploads;
                out.bytes += one.record.bytes;
            }
        }
        return out;
    }
    std::vector<std::string> idle_since(std::int64_t unix_ms, std::size_t limit) const override {
        std::vector<std::string> out;
        for (const auto& [id, one] : all_) {
            if (one.record.touched_unix_ms < unix_ms && out.size() < limit) {
                out.push_back(id);
            }
        }
        return out;
    }

  private:
    struct One {
        UploadRecord record;
        Bytes bytes;
    };
    Objects& objects_;
    Clock& clock_;
    std::map<std::string, One> all_;
};

}  // namespace framegrid::api
