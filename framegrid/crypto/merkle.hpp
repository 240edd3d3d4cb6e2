// Merkle trees over SHA-256 as in RFC 6962: one hash stands for a list, and a short proof shows what is in
// it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <framegrid/base/bytes.hpp>
#include <framegrid/crypto/hash.hpp>

namespace framegrid::crypto {

// Of an entry: SHA-256(0x00 || bytes). Of two subtrees: SHA-256(0x01 || left || right).
Hash32 merkle_leaf(BytesView bytes);
Hash32 merkle_node(const Hash32& left, const Hash32& right);

// The root of a list that grows; keeps one hash per level.
class MerkleRoot {
  public:
    void add(const Hash32& leaf);
    std::uint64_t size() const { return size_; }
    // Of an empty list: SHA-256 of nothing.
    Hash32 root() const;

  private:
    std::uint64_t size_ = 0;
    std::vector<Hash32> full_;  // roots of full subtrees, largest first: one for each bit of size_
};

// The hashes beside the path from leaf `index` to the root, nearest first. index < leaves.size().
std::vector<Hash32> merkle_proof(const std::vector<Hash32>& leaves, std::size_t index);
// Whether `leaf` is entry `index` of the `count` under `root`.
bool verify_merkle_proof(
    const Hash32& leaf, std::uint64_t index, std::uint64_t count, const std::vector<Hash32>& proof,
    const Hash32& root
);

}  // namespace framegrid::crypto
