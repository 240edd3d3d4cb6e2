// A gateway's tickets signed elsewhere: pay::Signer over a signer's /sign-tickets.
#pragma once

#include <memory>
#include <string>

#include <framegrid/http/client.hpp>
#include <framegrid/pay/signer.hpp>

namespace framegrid::wire {

// One executor; client and clock outlive it.
class RemoteSigner final : public pay::Signer {
  public:
    // Asks the signer for its address. `key`: the caller's, empty for a signer on loopback that wants none.
    // kUnavailable, kUnauthorized, kProtocol: no signer there.
    static Task<Result<std::unique_ptr<RemoteSigner>>> connect(
        http::Client& client, std::string url, std::string key, Deadline deadline
    );
    const pay::Address& address() const override { return address_; }
    // Shows orchestrators that the address is ours: crypto::info_request_message(), signed.
    const Bytes& info_signature() const { return info_signature_; }
    Task<Result<pay::Payment>> sign(pay::TicketBatch batch, Price price, Deadline deadline) override;

  private:
    RemoteSigner(http::Client& client, http::Url url, std::string key)
        : client_(client), url_(std::move(url)), key_(std::move(key)) {}
    Task<Result<Blob>> call(std::string path, std::string body, Deadline deadline);

    http::Client& client_;
    http::Url url_;
    std::string key_;
    pay::Address address_{};
    Bytes info_signature_;
};

}  // namespace framegrid::wire
