// Key files on disk.
#pragma once

#include <string>

#include <framegrid/crypto/keys.hpp>
#include <framegrid/host/loop.hpp>

namespace framegrid::app {

// Reads a web3 v3 key file. The password is the first line of `password_file`, or $FRAMEGRID_KEY_PASSWORD
// when that is empty.
Result<crypto::PrivateKey> load_key(const std::string& file, const std::string& password_file);

// Writes a new key (mode 0600). kInvalidArgument when the file exists.
Result<void> create_key(const std::string& file, const std::string& password_file, Random& random);

// The first line of a secret's file.
Result<std::string> read_secret_file(const std::string& file);

}  // namespace framegrid::app
