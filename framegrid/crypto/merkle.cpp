#include <framegrid/crypto/merkle.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <span>
#include <tuple>

namespace framegrid::crypto {

namespace {

// The largest power of two below `count`: where a tree of `count` > 1 leaves is split.
std::size_t split_of(std::size_t count) {
    return std::bit_floor(count - 1);
}

Hash32 root_of(std::span<const Hash32> leaves) {
    MerkleRoot root;
    for (const auto& leaf : leaves) {
        root.add(leaf);
    }
    return root.root();
}

}  // namespace

Hash32 merkle_leaf(BytesView bytes) {
    std::array<std::uint8_t, 1'024> small{};
    if (bytes.size() < small.size()) {
        std::ranges::copy(bytes, small.begin() + 1);
        return sha256(BytesView(small).first(bytes.size() + 1));
    }
    Bytes text{0};
    text.insert(text.end(), bytes.begin(), bytes.end());
    return sha256(text);
}

Hash32 merkle_node(const Hash32& left, const Hash32& right) {
    std::array<std::uint8_t, 1 + 2 * std::tuple_size_v<Hash32>> text{};
    text[0] = 1;
    std::ranges::copy(left, text.begin() + 1);
    std::ranges::copy(right, text.begin() + 1 + left.size());
    return sha256(text);
}

void MerkleRoot::add(const Hash32& leaf) {
    Hash32 hash = leaf;
    // Each trailing one bit of the size is a full subtree of the same size as the new one.
    for (std::uint64_t bits = size_; (bits & 1U) != 0; bits >>= 1U) {
        hash = merkle_node(full_.back(), hash);
        full_.pop_back();
    }
    full_.push_back(hash);
    ++size_;
}

Hash32 MerkleRoot::root() const {
    if (full_.empty()) {
        return sha256({});
    }
    Hash32 hash = full_.back();
    for (auto left = full_.rbegin() + 1; left != full_.rend(); ++left) {
        hash = merkle_node(*left, hash);
    }
    return hash;
}

std::vector<Hash32> merkle_proof(const std::vector<Hash32>& leaves, std::size_t index) {
    FG_ASSERT(index < leaves.size());
    std::vector<Hash32> out;
    std::span<const Hash32> tree(leaves);
    while (tree.size() > 1) {
        const std::size_t split = split_of(tree.size());
        const bool left = index < split;
        out.push_back(root_of(left ? tree.subspan(split) : tree.first(split)));
        tree = left ? tree.first(split) : tree.subspan(split);
        index -= left ? 0 : split;
    }
    std::ranges::reverse(out);
    return out;
}

bool verify_merkle_proof(
    const Hash32& leaf, std::uint64_t index, std::uint64_t count, const std::vector<Hash32>& proof,
    const Hash32& root
) {
    if (index >= count) {
        return false;
    }
    // As RFC 9162, section 2.1.3.2: `last` tells where the right edge of the tree has no sibling.
    std::uint64_t at = index;
    std::uint64_t last = count - 1;
    Hash32 hash = leaf;
    for (const auto& sibling : proof) {
        if (last == 0) {
            return false;
        }
        if ((at & 1U) != 0 || at == last) {
            hash = merkle_node(sibling, hash);
            while ((at & 1U) == 0 && at != 0) {
                at >>= 1U;
                last >>= 1U;
            }
        } else {
            hash = merkle_node(hash, sibling);
        }
        at >>= 1U;
        last >>= 1U;
    }
    return last == 0 && hash == root;
}

}  // namespace framegrid::crypto
