// A small tool to try and time the codecs without a network.
//   media_tool clip OUT [WxH] [seconds]
//   media_tool probe FILE
//   media_tool sheet FILE OUT.png            four pictures of a video, labelled
//   media_tool quality SOURCE RENDITION
//   media_tool join OUT.mp4 PIECE...
//   media_tool transcode FILE PROFILES.json|PRESETS OUTDIR [--preset P] [--jobs N] [--encoder-threads N]
//                        [--decoder-threads N] [--target-ms N] [--limit N] [--early 1]
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <mutex>
#include <sstream>
#include <thread>

#include <framegrid/media_ffmpeg/assembler.hpp>
#include <framegrid/media_ffmpeg/contact_sheet.hpp>
#include <framegrid/media_ffmpeg/make_clip.hpp>
#include <framegrid/media_ffmpeg/media_codec.hpp>
#include <framegrid/media_ffmpeg/probe.hpp>
#include <framegrid/media_ffmpeg/quality.hpp>
#include <framegrid/media_ffmpeg/segmenter.hpp>
#include <framegrid/media_ffmpeg/transcoder.hpp>

namespace {

using namespace framegrid;
using namespace framegrid::media_ffmpeg;

int complain(const Error& error) {
    std::cerr << "media_tool: " << error.message << " [" << to_string(error.code) << "]\n";
    return 1;
}

std::string read_text(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

std::string option(
    const std::vector<std::string>& arguments, const std::string& name, const std::string& fallback
) {
    for (std::size_t i = 0; i + 1 < arguments.size(); ++i) {
        if (arguments[i] == name) {
            return arguments[i + 1];
        }
    }
    return fallback;
}

double now_s() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

int run_clip(const std::vector<std::string>& arguments) {
    ClipSpec spec;
    if (arguments.size() > 3) {
        std::sscanf(arguments[3].c_str(), "%dx%d", &spec.width, &spec.height);
    }
    if (arguments.size() > 4) {
        spec.duration_ms = std::stoll(arguments[4]) * 1000;
    }
    const auto made = make_clip(arguments[2], spec);
    return made ? 0 : complain(made.error());
}

int run_probe(const std::string& path) {
    const auto info = probe(Blob::copy_of(read_text(path)));
    if (!info) {
        return complain(info.error());
    }
    std::printf(
        "%s video=%s audio=%s %dx%d rotation=%d fps=%d/%d start=%lld duration=%lld frames=%lld "
        "keyframes=%lld %s %s\n",
        info->container.c_str(), info->video_codec.c_str(), info->audio_codec.c_str(), info->size.width,
        info->size.height, info->rotation, info->fps_num, info->fps_den,
        static_cast<long long>(info->start_ms), static_cast<long long>(info->duration_ms),
        static_cast<long long>(info->frames), static_cast<long long>(info->keyframes),
        info->pixel_format.c_str(), info->codecs.c_str()
    );
    return 0;
}

int run_sheet(const std::string& path, const std::string& out) {
    const Blob file = Blob::copy_of(read_text(path));
    std::vector<SheetTile> tiles;
    for (const int at_ms : {0, 500, 1000, 1500}) {
        auto picture = picture_at(file, at_ms);
        if (!picture) {
            return complain(picture.error());
        }
        tiles.push_back({"At " + std::to_string(at_ms) + " ms", std::move(*picture)});
    }
    const auto sheet = contact_sheet(tiles);
    if (!sheet) {
        return complain(sheet.error());
    }
    const auto png = FfmpegMediaCodec().encode_image(*sheet, api::ImageFormat::kPng, 100);
    if (!png) {
        return complain(png.error());
    }
    std::ofstream(out, std::ios::binary).write(png->text().data(), static_cast<std::streamsize>(png->size()));
    return 0;
}

int run_quality(const std::string& source, const std::string& rendition) {
    const auto quality =
        compare_videos(Blob::copy_of(read_text(source)), Blob::copy_of(read_text(rendition)));
    if (!quality) {
        return complain(quality.error());
    }
    std::printf(
        "PSNR %.2f dB, SSIM %.4f over %d pictures\n", quality->psnr_db, quality->ssim, quality->pictures
    );
    return 0;
}

int run_join(const std::vector<std::string>& arguments) {
    std::size_t next = 3;
    const auto made = write_mp4(arguments[2], [&]() -> Result<std::optional<Blob>> {
        return next < arguments.size() ? std::optional<Blob>(Blob::copy_of(read_text(arguments[next++])))
                                       : std::nullopt;
    });
    if (!made) {
        return complain(made.error());
    }
    std::printf(
        "%lld pieces, %lld pictures, %lld ms\n", static_cast<long long>(made->pieces),
        static_cast<long long>(made->pictures), static_cast<long long>(made->duration_ms)
    );
    return 0;
}

// Segments in, renditions out, several at a time.
class Job {
  public:
    Job(FfmpegTranscoder& transcoder, Segmenter& segmenter, std::vector<media::VideoProfile> profiles,
        std::string directory, bool early)
        : transcoder_(transcoder),
          segmenter_(segmenter),
          profiles_(std::move(profiles)),
          directory_(std::move(directory)),
          early_(early) {}

    int run(int jobs, std::int64_t limit) {
        limit_ = limit;
        {
            std::vector<std::jthread> threads;
            for (int i = 0; i < jobs; ++i) {
                threads.emplace_back([this, i] { work("session-" + std::to_string(i)); });
            }
        }
        return status_;
    }

  private:
    void work(const std::string& session) {
        while (status_ == 0) {
            std::optional<Segment> segment;
            {
                const std::lock_guard lock(mutex_);
                auto next = segmenter_.next();
                if (!next) {
                    status_ = complain(next.error());
                    return;
                }
                segment = std::move(*next);
            }
            if (!segment || segment->seq >= limit_) {
                return;
            }
            transcode(session, *segment);
        }
    }
    void transcode(const std::string& session, const Segment& segment) {
        api::TranscodeWork work;
        work.profiles = profiles_;
        work.early = early_;
        const double begin = now_s();
        double first = 0;
        const auto output = transcoder_.transcode(
            session, work, segment.bytes, stop_,
            [&](std::size_t, const api::Artifact&) {
                const std::lock_guard lock(mutex_);
                first = first == 0 ? now_s() - begin : first;
            }
        );
        const double all = now_s() - begin;
        const std::lock_guard lock(mutex_);
        if (!output) {
            status_ = complain(output.error());
            return;
        }
        std::printf("segment %lld first %.3f all %.3f\n", static_cast<long long>(segment.seq), first, all);
        for (const api::Artifact& artifact : output->artifacts) {
            const std::string extension = artifact.content_type == "video/mp4" ? ".mp4" : ".ts";
            std::ofstream out(
                directory_ + "/" + artifact.name + "_" + std::to_string(segment.seq) + extension,
                std::ios::binary
            );
            out.write(artifact.bytes.text().data(), static_cast<std::streamsize>(artifact.bytes.size()));
        }
    }

    FfmpegTranscoder& transcoder_;
    Segmenter& segmenter_;
    std::vector<media::VideoProfile> profiles_;
    std::string directory_;
    bool early_ = false;
    std::int64_t limit_ = 0;
    api::StopFlag stop_{false};
    std::mutex mutex_;
    std::atomic<int> status_ = 0;
};

int run_transcode(const std::vector<std::string>& arguments) {
    const auto profiles = std::filesystem::exists(arguments[3])
                              ? media::parse_profiles(read_text(arguments[3]))
                              : media::parse_presets(arguments[3]);
    if (!profiles) {
        return complain(profiles.error());
    }
    TranscoderSettings settings;
    settings.preset = option(arguments, "--preset", settings.preset);
    settings.encoder_threads = std::stoi(option(arguments, "--encoder-threads", "1"));
    settings.decoder_threads = std::stoi(option(arguments, "--decoder-threads", "1"));
    settings.hw = option(arguments, "--hw", "none");
    SegmenterSettings cutting;
    cutting.target_ms = std::stoll(option(arguments, "--target-ms", "2000"));
    auto segmenter = Segmenter::open(arguments[2], cutting);
    if (!segmenter) {
        return complain(segmenter.error());
    }
    auto transcoder = FfmpegTranscoder::open(settings);
    if (!transcoder) {
        return complain(transcoder.error());
    }
    std::filesystem::create_directories(arguments[4]);
    const double begin = now_s();
    const int status =
        Job(**transcoder, **segmenter, *profiles, arguments[4], option(arguments, "--early", "0") == "1")
            .run(
                std::stoi(option(arguments, "--jobs", "2")),
                std::stoll(option(arguments, "--limit", "1000000"))
            );
    std::printf("total %.3f s\n", now_s() - begin);
    return status;
}

}  // namespace

int main(int argc, char** argv) {
    keep_freed_memory();
    const std::vector<std::string> arguments(argv, argv + argc);
    if (arguments.size() >= 3 && arguments[1] == "clip") {
        return run_clip(arguments);
    }
    if (arguments.size() == 3 && arguments[1] == "probe") {
        return run_probe(arguments[2]);
    }
    if (arguments.size() == 4 && arguments[1] == "sheet") {
        return run_sheet(arguments[2], arguments[3]);
    }
    if (arguments.size() == 4 && arguments[1] == "quality") {
        return run_quality(arguments[2], arguments[3]);
    }
    if (arguments.size() >= 4 && arguments[1] == "join") {
        return run_join(arguments);
    }
    if (arguments.size() >= 5 && arguments[1] == "transcode") {
        return run_transcode(arguments);
    }
    std::cerr << "usage: media_tool clip OUT [WxH] [seconds] | probe FILE | sheet FILE OUT.png |\n"
                 "       quality SOURCE RENDITION | join OUT.mp4 PIECE... |\n"
                 "       transcode FILE PROFILES.json|PRESETS OUTDIR [--preset P] [--jobs N] "
                 "[--encoder-threads N]\n"
                 "       [--decoder-threads N] [--target-ms N] [--limit N] [--small-first 0|1] [--hw NAME]\n";
    return 2;
}
