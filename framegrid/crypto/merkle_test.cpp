#include <framegrid/crypto/merkle.hpp>

#include <string>

#include <gtest/gtest.h>

namespace framegrid::crypto {

namespace {

std::string root_of(const std::vector<Bytes>& entries) {
    MerkleRoot root;
    for (const auto& entry : entries) {
        root.add(merkle_leaf(entry));
    }
    return hex(root.root());
}

// The vectors of Certificate Transparency's reference implementations.
TEST(Merkle, RootsOfThePublishedVectors) {
    std::vector<Bytes> entries;
    EXPECT_EQ(root_of(entries), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    entries.emplace_back();
    EXPECT_EQ(root_of(entries), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
    entries.push_back({0x00});
    EXPECT_EQ(root_of(entries), "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125");
    entries.push_back({0x10});
    EXPECT_EQ(root_of(entries), "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77");
    entries.push_back({0x20, 0x21});
    EXPECT_EQ(root_of(entries), "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7");
}

TEST(Merkle, EveryEntryHasAProofAndNothingElseHas) {
    for (std::size_t count = 1; count <= 20; ++count) {
        std::vector<Hash32> leaves;
        MerkleRoot root;
        for (std::size_t i = 0; i < count; ++i) {
            leaves.push_back(merkle_leaf(as_bytes(std::to_string(i))));
            root.add(leaves.back());
        }
        ASSERT_EQ(root.size(), count);
        for (std::size_t i = 0; i < count; ++i) {
            auto proof = merkle_proof(leaves, i);
            EXPECT_TRUE(verify_merkle_proof(leaves[i], i, count, proof, root.root())) << i << " of " << count;
            EXPECT_FALSE(verify_merkle_proof(leaves[i], i + 1, count, proof, root.root()));
            EXPECT_FALSE(verify_merkle_proof(merkle_leaf({}), i, count, proof, root.root()));
            proof.push_back(leaves[0]);
            EXPECT_FALSE(verify_merkle_proof(leaves[i], i, count, proof, root.root()));
            if (count > 1) {
                proof.resize(proof.size() - 2);
                EXPECT_FALSE(verify_merkle_proof(leaves[i], i, count, proof, root.root()));
            }
        }
    }
}

}  // namespace

}  // namespace framegrid::crypto
