// The receipts of one hour that a caller wants closed: read line by line, so that what is signed is their
// sum.
#pragma once

#include <string>
#include <string_view>

#include <framegrid/crypto/keys.hpp>
#include <framegrid/pay/receipt_book.hpp>

namespace framegrid::signer {

// The key outlives it.
class HourToSign {
  public:
    // `hour`, `previous`: see pay::Closing. kInvalidArgument.
    static Result<HourToSign> begin(
        const crypto::PrivateKey& key, std::string hour, const crypto::Hash32& previous
    );
    // The next bytes of the lines, cut anywhere. kInvalidArgument: no receipt, and where; kForbidden: a
    // receipt that does not name the key's address.
    Result<void> add(std::string_view piece);
    // kInvalidArgument: there is no receipt, or the last one has no end.
    Result<pay::Closing> close();

  private:
    HourToSign(const crypto::PrivateKey& key, std::string hour, const crypto::Hash32& previous)
        : key_(key), address_(key.address()), hour_(std::move(hour)), previous_(previous) {}
    Result<void> add_line(std::string_view line);

    const crypto::PrivateKey& key_;
    crypto::Address address_;
    std::string hour_;
    crypto::Hash32 previous_;
    pay::HourSum sum_;
    std::string begun_;  // of a line whose end has not come
};

}  // namespace framegrid::signer
