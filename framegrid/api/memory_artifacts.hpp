// The records of stored files, and files themselves, in memory: for tests and simulation.
#pragma once

#include <algorithm>
#include <map>
#include <utility>

#include <framegrid/api/artifact_index.hpp>
#include <framegrid/api/objects.hpp>
#include <framegrid/crypto/hash.hpp>

namespace framegrid::api {

// Single-threaded.
class MemoryArtifacts final : public ArtifactIndex {
  public:
    Task<Result<void>> add(job::ArtifactRecord record) override {
        auto id = record.id;
        records_.insert_or_assign(std::move(id), std::move(record));
        co_return Result<void>{};
    }
    Task<Result<job::ArtifactRecord>> find(std::string id) override {
        const auto found = records_.find(id);
        if (found == records_.end()) {
            co_return fail(Errc::kNotFound, "there is no such file", "id");
        }
        co_return found->second;
    }
    Task<Result<std::vector<job::ArtifactRecord>>> list(
        std::string owner, std::string before, std::size_t limit
    ) override {
        std::vector<job::ArtifactRecord> out;
        for (auto at = records_.rbegin(); at != records_.rend() && out.size() < limit; ++at) {
            if (at->second.owner == owner && (before.empty() || at->first < before)) {
                out.push_back(at->second);
            }
        }
        co_return out;
    }
    Task<Result<ArtifactUsage>> usage(std::string owner) override {
        ArtifactUsage out;
        for (const auto& [id, record] : records_) {
            out.files += record.owner == owner ? 1 : 0;
            out.bytes += record.owner == owner ? record.bytes : 0;
        }
        co_return out;
    }
    Task<Result<std::vector<job::ArtifactRecord>>> expired(std::int64_t now_unix_ms, std::size_t limit)
        override {
        std::vector<job::ArtifactRecord> out;
        for (const auto& [id, record] : records_) {
            if (record.expires_unix_ms <= now_unix_ms && out.size() < limit) {
                out.push_back(record);
            }
        }
        co_return out;
    }
    Task<Result<bool>> remove(std::string id) override {
        const auto found = records_.find(id);
        if (found == records_.end()) {
            co_return fail(Errc::kNotFound, "there is no such file", "id");
        }
        const std::string digest = found->second.digest;
        records_.erase(found);
        co_return !has(digest);
    }
    Task<Result<bool>> is_used(std::string digest) override { co_return has(digest); }
    std::size_t size() const { return records_.size(); }

  private:
    bool has(const std::string& digest) const {
        return std::ranges::any_of(records_, [&](const auto& one) { return one.second.digest == digest; });
    }
    std::map<std::string, job::ArtifactRecord> records_;
};

// Single-threaded.
class MemoryObjects final : public Objects {
  public:
    Task<Result<std::unique_ptr<ObjectWriter>>> create(Deadline /*deadline*/) override {
        co_return std::make_unique<Writer>(*this);
    }
    Task<Result<ObjectInfo>> stat(std::string digest, Deadline /*deadline*/) override {
        const auto found = objects_.find(digest);
        if (found == objects_.end()) {
            co_return fail(Errc::kNotFound, "there is no such object");
        }
        co_return ObjectInfo{digest, found->second.size()};
    }
    Task<Result<Blob>> read(
        std::string digest, std::uint64_t offset, std::uint64_t bytes, Deadline /*deadline*/
    ) override {
        constexpr std::uint64_t kPieceMax = 1 << 20;
        const auto found = objects_.find(digest);
        if (found == objects_.end()) {
            co_return fail(Errc::kNotFound, "there is no such object");
        }
        const auto& all = found->second;
        const auto from = std::min<std::uint64_t>(offset, all.size());
        const auto count = std::min({bytes, all.size() - from, kPieceMax});
        const auto begin = all.begin() + static_cast<std::ptrdiff_t>(from);
        co_return Blob(Bytes(begin, begin + static_cast<std::ptrdiff_t>(count)));
    }
    Task<Result<void>> remove(std::string digest, Deadline /*deadline*/) override {
        objects_.erase(digest);
        co_return Result<void>{};
    }

  private:
    class Writer final : public ObjectWriter {
      public:
        explicit Writer(MemoryObjects& into) : into_(into) {}
        Task<Result<void>> append(Blob piece, Deadline /*deadline*/) override {
            bytes_.insert(bytes_.end(), piece.view().begin(), piece.view().end());
            co_return Result<void>{};
        }
        Task<Result<ObjectInfo>> finish(Deadline /*deadline*/) override {
            ObjectInfo out{crypto::hex(crypto::sha256(bytes_)), bytes_.size()};
            into_.objects_.insert_or_assign(out.digest, std::move(bytes_));
            co_return out;
        }

      private:
        MemoryObjects& into_;
        Bytes bytes_;
    };
    std::map<std::string, Bytes> objects_;
};

}  // namespace framegrid::api
