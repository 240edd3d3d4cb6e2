// A connected byte stream, TCP or TLS over TCP: never blocks, costs no buffer and no coroutine while it is
// quiet.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/system/error_code.hpp>

#include <framegrid/runtime/task.hpp>

namespace framegrid::http {

using ErrorCode = boost::system::error_code;
using Socket = boost::asio::basic_stream_socket<boost::asio::ip::tcp, Executor>;
using Pieces = std::span<const boost::asio::const_buffer>;

class Transport {
  public:
    using Wake = std::move_only_function<void()>;
    virtual ~Transport() = default;

    // What has arrived, up to the size of `into`. 0 bytes always come with a code: would_block, eof or a
    // failure.
    virtual std::size_t read_some(std::span<std::uint8_t> into, ErrorCode& code) = 0;
    // Calls `wake` once, later, when read_some() is worth calling again, or after close().
    virtual void wait_readable(Wake wake) = 0;
    // Takes as much of `pieces` as fits; a code (would_block or a failure) comes with 0 bytes only.
    virtual std::size_t write_some(Pieces pieces, ErrorCode& code) = 0;
    // True while bytes that write_some() took still wait here; write_some() with no pieces sends them.
    virtual bool has_unsent() const { return false; }
    // Calls `wake` once, later, when write_some() is worth calling again, or after close().
    virtual void wait_writable(Wake wake) = 0;
    // Whether the peer has closed its side, even if what it sent before has not been read yet.
    virtual bool has_peer_finished() const = 0;
    // Tells the peer that nothing follows; reading goes on.
    virtual void finish_writing() = 0;
    // Drops the connection and wakes who waits. `reset`: the peer shall notice even if it does not read.
    virtual void close(bool reset) = 0;
};

// Takes over a connected socket.
std::unique_ptr<Transport> make_plain_transport(Socket socket);

// For has_peer_finished().
bool has_peer_finished(const Socket& socket);

// "127.0.0.1:4711", or "?" when the socket is not connected any more.
std::string peer_of(const Socket& socket);

// For Transport::close().
void close(Socket& socket, bool reset);

// Non-blocking, and small writes go out at once.
void prepare(Socket& socket);

}  // namespace framegrid::http
