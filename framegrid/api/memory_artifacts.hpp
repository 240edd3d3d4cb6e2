// The records of stored files, and files themselves, in memory: for tests and simulation.
#pragma once

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include <framegrid/api/artifact_index.hpp>
#include <framegrid/api/object_upkeep.hpp>
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
    Task<Result<std::vector<std::string>>> unnamed(std::vector<std::string> digests) override {
        std::erase_if(digests, [this](const std::string& digest) { return has(digest); });
        co_return digests;
    }
    std::size_t size() const { return records_.size(); }

  private:
    bool has(const std::string& digest) const {
        return std::ranges::any_of(records_, [&](const auto& one) { return one.second.digest == digest; });
    }
    std::map<std::string, job::ArtifactRecord> records_;
};

// Single-threaded. Without a clock all is stored at time 0.
class MemoryObjects final : public Objects, public ObjectUpkeep {
  public:
    explicit MemoryObjects(Clock* clock = nullptr) : clock_(clock) {}
    Task<Result<std::unique_ptr<ObjectWriter>>> create(Deadline /*deadline*/) override {
        co_return std::make_unique<Writer>(*this);
    }
    Task<Result<ObjectInfo>> stat(std::string digest, Deadline /*deadline*/) override {
        const auto* found = look(digest);
        if (found == nullptr) {
            co_return fail(Errc::kNotFound, "there is no such object");
        }
        co_return ObjectInfo{digest, found->bytes.size()};
    }
    Task<Result<Blob>> read(
        std::string digest, std::uint64_t offset, std::uint64_t bytes, Deadline /*deadline*/
    ) override {
        constexpr std::uint64_t kPieceMax = 1 << 20;
        const auto* found = look(digest);
        if (found == nullptr) {
            co_return fail(Errc::kNotFound, "there is no such object");
        }
        const auto& all = found->bytes;
        const auto from = std::min<std::uint64_t>(offset, all.size());
        const auto count = std::min({bytes, all.size() - from, kPieceMax});
        const auto begin = all.begin() + static_cast<std::ptrdiff_t>(from);
        co_return Blob(Bytes(begin, begin + static_cast<std::ptrdiff_t>(count)));
    }
    Task<Result<bool>> claim(std::string owner, Deadline /*deadline*/) override {
        owners_.insert(std::move(owner));
        co_return owners_.size() == 1;
    }
    Task<Result<ObjectPage>> stored_before(
        std::int64_t unix_ms, std::string from, std::size_t limit, Deadline /*deadline*/
    ) override {
        ObjectPage out;
        auto at = objects_.lower_bound(from);
        for (std::size_t i = 0; i < limit && at != objects_.end(); ++i, ++at) {
            if (at->second.at_unix_ms < unix_ms) {
                out.digests.push_back(at->first);
            }
        }
        out.next = at == objects_.end() ? "" : at->first;
        co_return out;
    }
    Task<Result<void>> set_aside(std::string digest, Deadline /*deadline*/) override {
        auto node = objects_.extract(digest);
        if (!node.empty()) {
            node.mapped().at_unix_ms = now();
            aside_.insert_or_assign(digest, std::move(node.mapped()));
        }
        co_return Result<void>{};
    }
    Task<Result<std::vector<std::string>>> aside_before(
        std::int64_t unix_ms, std::size_t limit, Deadline /*deadline*/
    ) override {
        std::vector<std::string> out;
        for (const auto& [digest, object] : aside_) {
            if (object.at_unix_ms < unix_ms && out.size() < limit) {
                out.push_back(digest);
            }
        }
        co_return out;
    }
    Task<Result<void>> put_back(std::string digest, Deadline /*deadline*/) override {
        if (auto node = aside_.extract(digest); !node.empty()) {
            objects_.insert(std::move(node));
        }
        co_return Result<void>{};
    }
    Task<Result<void>> drop(std::string digest, Deadline /*deadline*/) override {
        aside_.erase(digest);
        co_return Result<void>{};
    }
    std::size_t size() const { return objects_.size() + aside_.size(); }

  private:
    struct Object {
        Bytes bytes;
        std::int64_t at_unix_ms = 0;
    };
    class Writer final : public ObjectWriter {
      public:
        explicit Writer(MemoryObjects& into) : into_(into) {}
        Task<Result<void>> append(Blob piece, Deadline /*deadline*/) override {
            bytes_.insert(bytes_.end(), piece.view().begin(), piece.view().end());
            co_return Result<void>{};
        }
        Task<Result<ObjectInfo>> finish(Deadline /*deadline*/) override {
            ObjectInfo out{crypto::hex(crypto::sha256(bytes_)), bytes_.size()};
            into_.objects_.try_emplace(out.digest, std::move(bytes_), into_.now());
            co_return out;
        }

      private:
        MemoryObjects& into_;
        Bytes bytes_;
    };
    std::int64_t now() const { return clock_ == nullptr ? 0 : clock_->unix_ms(); }
    const Object* look(const std::string& digest) const {
        for (const auto* all : {&objects_, &aside_}) {
            if (const auto found = all->find(digest); found != all->end()) {
                return &found->second;
            }
        }
        return nullptr;
    }

    Clock* clock_;
    std::map<std::string, Object> objects_;
    std::map<std::string, Object> aside_;
    std::set<std::string> owners_;
};

}  // namespace framegrid::api
