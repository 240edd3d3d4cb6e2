// Shared by this library's tests: clips made on the spot, and a look inside what came out.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <framegrid/media_ffmpeg/av.hpp>
#include <framegrid/media_ffmpeg/make_clip.hpp>

namespace framegrid::media_ffmpeg {

// A folder that goes away with the test.
class TempDir {
  public:
    TempDir();
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    ~TempDir();
    std::string file(const std::string& name) const { return (path_ / name).string(); }

  private:
    std::filesystem::path path_;
};

// A small clip for tests: 320x180, 30 fps, 1 s, a keyframe every second, with sound.
ClipSpec small_clip();
// The clip's bytes; `name` chooses the container by its ending. Fails the test when it cannot be made.
Blob clip_bytes(const ClipSpec& spec, const std::string& name = "clip.ts");
Blob file_bytes(const std::string& path);

struct Shot {
    std::int64_t pts = 0;  // in 1/90000 s
    media::Size size;
    bool key = false;
    int luma_top = 0;  // of the picture's first row, in its middle (8-bit formats)
};

struct Look {
    std::vector<Shot> shots;              // decoded pictures in order
    std::vector<std::int64_t> audio_pts;  // in 1/90000 s
    bool dts_rises = true;
    std::string video_codec;
};

// Decodes everything. Fails the test when it is not readable.
Look look_at(const Blob& file);
// The file again, with only those video packets for which `keep(index, is_key)` holds, as MPEG-TS.
Blob filter_packets(const Blob& file, const std::function<bool(int index, bool is_key)>& keep);

}  // namespace framegrid::media_ffmpeg
