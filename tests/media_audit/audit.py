#!/usr/bin/env python3
"""Odd files through `framegrid transcode`, with stock ffmpeg and ffprobe as the judge.

usage: audit.py [--framegrid PROGRAM] [--keep DIR] [CASE ...]

Every source is made by ffmpeg, transcoded by the program into two renditions, and compared with the source: number and times of frames,
length, offset and content of the sound, shape of the pixels, rotation, colour tags, likeness (SSIM) next to ffmpeg's own encode
at the same bitrate, and the rules of HLS (RFC 8216). Not a part of CI: it takes minutes. Exits with 1 when anything differs."""

import argparse
import array
import dataclasses
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

SYNC = "sine=f=440:b=4:r=48000"


@dataclasses.dataclass
class Case:
    name: str
    make: list  # arguments of ffmpeg before the file's name; or a list of such lists, the last making the file
    file: str
    fps: str = "0"  # of the renditions; 0: as the source
    frames: str = "same"  # same | fps | any
    sound: bool = True
    ssim: bool = True
    refused: bool = False  # the right answer is an error
    look: str = ""  # filters that the source is to be seen through, for SSIM
    complaints: bool = False  # ffmpeg may complain: the source is as bad
    after: object = None  # a function of the file, to damage it
    decode: list = dataclasses.field(default_factory=list)  # ffmpeg options to read the source as we should


def v(src="testsrc2", size="320x180", rate="30", seconds=4):
    return ["-f", "lavfi", "-i", f"{src}=size={size}:rate={rate}:duration={seconds}"]


def a(seconds=4, src=SYNC):
    return ["-f", "lavfi", "-i", f"{src}:d={seconds}"]


X = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "60", "-pix_fmt", "yuv420p"]
AAC = ["-c:a", "aac", "-b:a", "96k"]


def cut(part):
    def apply(path):
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * part)])

    return apply


def flip(path):
    data = bytearray(path.read_bytes())
    state = 1
    for _ in range(40):
        state = (state * 1103515245 + 12345) % 2**31
        data[len(data) // 4 + state % (len(data) // 2)] ^= 0x55
    path.write_bytes(data)


def cases():
    c = []

    def add(name, file, *make, **more):
        flat = [str(x) for part in make for x in part]
        c.append(Case(name, flat, file, **more))

    add("baseline", "s.mp4", v(), a(), X, AAC)
    add("ts", "s.ts", v(), a(), X, AAC)
    add("high-b-open-gop", "s.ts", v(), a(), ["-c:v", "libx264", "-bf", "3", "-x264-params", "open-gop=1:keyint=30", "-pix_fmt", "yuv420p"], AAC)
    add("b-frames-mp4", "s.mp4", v(), a(), ["-c:v", "libx264", "-bf", "3", "-g", "45", "-pix_fmt", "yuv420p"], AAC)
    add("no-edit-list", "s.mp4", v(), a(), ["-c:v", "libx264", "-bf", "3", "-pix_fmt", "yuv420p", "-use_editlist", "0"], AAC)
    add("fragmented", "s.mp4", v(), a(), X, AAC, ["-movflags", "frag_keyframe+empty_moov"])
    add("long-gop", "s.mp4", v(seconds=10), a(10), ["-c:v", "libx264", "-preset", "ultrafast", "-g", "400", "-keyint_min", "400", "-sc_threshold", "0", "-pix_fmt", "yuv420p"], AAC)
    add("intra-only", "s.mp4", v(seconds=3), a(3), ["-c:v", "libx264", "-g", "1", "-preset", "ultrafast", "-pix_fmt", "yuv420p"], AAC)
    add("h264-10bit", "s.mp4", v(), a(), ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le"], AAC)
    add("h264-422", "s.mp4", v(), a(), ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv422p"], AAC)
    add("h264-444", "s.mp4", v(), a(), ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv444p"], AAC)
    add("hevc", "s.mp4", v(), a(), ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error"], AAC)
    add("hevc-10bit-mkv", "s.mkv", v(), a(), ["-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le", "-x265-params", "log-level=error"], ["-c:a", "ac3"])
    add("vp8", "s.webm", v(), a(), ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "1M"], ["-c:a", "libvorbis"])
    add("vp9-opus", "s.webm", v(), a(), ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "1M"], ["-c:a", "libopus"])
    add("av1-opus", "s.mkv", v(), a(), ["-c:v", "libsvtav1", "-preset", "12"], ["-c:a", "libopus"])
    add("av1-mp4", "s.mp4", v(), a(), ["-c:v", "libsvtav1", "-preset", "12"], AAC)
    add("mpeg2-ps", "s.mpg", v(rate="25"), a(), ["-c:v", "mpeg2video", "-b:v", "2M", "-bf", "2"], ["-c:a", "mp2"])
    add("mpeg2-ts-ac3", "s.ts", v(rate="25"), a(), ["-c:v", "mpeg2video", "-b:v", "2M", "-bf", "2"], ["-c:a", "ac3"])
    add("mpeg4-avi-mp3", "s.avi", v(rate="25"), a(), ["-c:v", "mpeg4", "-bf", "2", "-b:v", "1M"], ["-c:a", "libmp3lame"])
    add("mjpeg-avi-pcm", "s.avi", v(rate="15"), a(), ["-c:v", "mjpeg", "-q:v", "3"], ["-c:a", "pcm_s16le"])
    add("prores-mov-pcm", "s.mov", v(rate="24"), a(), ["-c:v", "prores_ks"], ["-c:a", "pcm_s16le"])
    add("ffv1-flac", "s.mkv", v(seconds=3), a(3), ["-c:v", "ffv1"], ["-c:a", "flac"])
    add("flv", "s.flv", v(), a(), X, ["-c:a", "aac"])
    add("wmv", "s.wmv", v(rate="25"), a(), ["-c:v", "wmv2", "-b:v", "1M"], ["-c:a", "wmav2"])
    add("theora", "s.ogv", v(rate="25"), a(), ["-c:v", "libtheora", "-q:v", "7"], ["-c:a", "libvorbis"])
    add("h263-3gp", "s.3gp", v(size="352x288", rate="25"), a(), ["-c:v", "h263", "-b:v", "500k"], ["-c:a", "aac", "-ar", "32000"])
    add("cinepak", "s.avi", v(size="160x120", rate="15", seconds=2), a(2), ["-c:v", "cinepak"], ["-c:a", "pcm_u8"])
    add("sorenson", "s.mov", v(rate="25", seconds=3), a(3), ["-c:v", "svq1", "-pix_fmt", "yuv410p", "-b:v", "2M"], ["-c:a", "adpcm_ima_qt"])
    add("dv", "s.dv", v(size="720x576", rate="25", seconds=2), a(2, "sine=f=440:b=4:r=48000"), ["-pix_fmt", "yuv420p", "-c:v", "dvvideo", "-ac", "2"], look="yadif=deint=interlaced,")
    add("real", "s.rm", v(size="320x240", rate="25", seconds=3), a(3), ["-c:v", "rv20", "-b:v", "1M"], ["-c:a", "ac3"])
    add("rv10", "s.rm", v(size="352x288", rate="25", seconds=3), a(3), ["-c:v", "rv10", "-b:v", "1M"], ["-c:a", "ac3"])
    add("raw-avi", "s.avi", v(rate="25", seconds=3), a(3), ["-c:v", "rawvideo", "-pix_fmt", "yuyv422"], ["-c:a", "pcm_s16le"])
    add("raw-rgb", "s.mov", v(size="322x182", rate="25", seconds=2), ["-c:v", "rawvideo", "-pix_fmt", "rgb24"], sound=False)
    add("asus", "s.avi", v(size="352x288", rate="25", seconds=3), a(3), ["-c:v", "asv1", "-b:v", "4M"], ["-c:a", "pcm_s16le"])
    add("one-keyframe", "s.mkv", v(size="160x90", rate="5", seconds=320), a(320), [*X, "-g", "9999", "-sc_threshold", "0"], ["-c:a", "aac"])
    add("y4m", "s.y4m", v(seconds=2), ["-pix_fmt", "yuv420p"], sound=False)
    add("wtv", "s.wtv", v(rate="25", seconds=3), a(3), ["-c:v", "mpeg2video", "-b:v", "2M"], ["-c:a", "mp2"], frames="any")
    add("mxf", "s.mxf", v(rate="25", seconds=3), a(3), ["-c:v", "mpeg2video", "-b:v", "2M", "-bf", "2"], ["-c:a", "pcm_s16le"])
    add("dnxhd", "s.mov", v(size="1280x720", rate="25", seconds=2), a(2), ["-c:v", "dnxhd", "-b:v", "60M", "-pix_fmt", "yuv422p"], ["-c:a", "pcm_s16le"])
    add("gif", "s.gif", v(rate="10", seconds=3), [], sound=False)
    add("apng-rgb", "s.mkv", v(seconds=2), ["-c:v", "png", "-pix_fmt", "rgb24"], sound=False)
    add("gray", "s.mkv", v(seconds=2), ["-c:v", "ffv1", "-pix_fmt", "gray"], sound=False)
    add("alpha-vp9", "s.webm", v(seconds=2), ["-vf", "format=yuva420p", "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"], sound=False)
    add("alpha-qtrle", "s.mov", v(seconds=2), ["-vf", "format=argb", "-c:v", "qtrle"], sound=False)
    add("fps-23.976", "s.mp4", v(rate="24000/1001"), a(), X, AAC)
    add("fps-29.97", "s.mp4", v(rate="30000/1001"), a(), X, AAC)
    add("fps-59.94", "s.mp4", v(rate="60000/1001"), a(), X, AAC)
    add("fps-120", "s.mp4", v(rate="120", seconds=3), a(3), X, AAC)
    add("fps-5", "s.mp4", v(rate="5", seconds=6), a(6), X, AAC)
    add("fps-1", "s.mp4", v(rate="1", seconds=8), a(8), ["-c:v", "libx264", "-preset", "ultrafast", "-g", "2"], AAC)
    add("to-30-from-25", "s.mp4", v(rate="25"), a(), X, AAC, fps="30", frames="fps")
    add("to-24-from-60", "s.mp4", v(rate="60"), a(), X, AAC, fps="24", frames="fps")
    add("to-29.97-from-24", "s.mp4", v(rate="24"), a(), X, AAC, fps="30000/1001", frames="fps")
    add("to-60-from-29.97", "s.ts", v(rate="30000/1001"), a(), X, AAC, fps="60", frames="fps")
    add("vfr", "s.mp4", v(), a(), ["-vf", "setpts='PTS+if(mod(N,3),0,0.4/30/TB)'", "-fps_mode", "vfr"], X, AAC)
    add("vfr-gap", "s.mkv", v(seconds=6), a(6), ["-vf", "select='lt(n,60)+gt(n,120)'", "-fps_mode", "vfr"], X, AAC)
    add("vfr-to-30", "s.mp4", v(), a(), ["-vf", "setpts='PTS+if(mod(N,3),0,0.4/30/TB)'", "-fps_mode", "vfr"], X, AAC, fps="30", frames="fps")
    add("portrait", "s.mp4", v(size="180x320"), a(), X, AAC)
    add("odd-size", "s.mkv", v(size="123x457"), a(), ["-c:v", "ffv1", "-pix_fmt", "yuv444p"], AAC)
    add("odd-size-h264", "s.mp4", v(size="321x181"), a(), ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv444p"], AAC)
    add("tiny", "s.mp4", v(size="64x48"), a(), X, AAC)
    add("wide", "s.mp4", v(size="1280x160", seconds=2), a(2), X, AAC)
    add("uhd", "s.mp4", v(size="3840x2160", seconds=1), a(1), X, AAC)
    for degrees in (90, 180, 270):
        c.append(Case(f"rotated-{degrees}", [[*v(), *a(), *X, *AAC, "base.mp4"], ["-display_rotation", str(degrees), "-i", "base.mp4", "-c", "copy"]], "s.mp4"))
    add("sar-4-3", "s.mp4", v(size="320x240"), a(), ["-vf", "setsar=4/3"], X, AAC)
    add("sar-pal-ts", "s.ts", v(size="720x576", rate="25", seconds=2), a(2), ["-vf", "setsar=64/45"], ["-c:v", "mpeg2video", "-b:v", "4M"], ["-c:a", "mp2"])
    c.append(Case("container-sar", [[*v(size="320x240"), *a(), *X, *AAC, "base.mp4"], ["-i", "base.mp4", "-c", "copy", "-aspect", "16:9"]], "s.mp4"))
    add("bt601", "s.mp4", v(), a(), X, ["-color_primaries", "smpte170m", "-color_trc", "smpte170m", "-colorspace", "smpte170m", "-color_range", "tv"], AAC)
    add("bt709", "s.mp4", v(), a(), X, ["-color_primaries", "bt709", "-color_trc", "bt709", "-colorspace", "bt709", "-color_range", "tv"], AAC)
    add("bt2020-hlg", "s.mp4", v(), a(), ["-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le", "-x265-params", "log-level=error:colorprim=bt2020:transfer=arib-std-b67:colormatrix=bt2020nc"], AAC)
    add("full-range", "s.mp4", v(), a(), ["-vf", "scale=out_range=pc", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuvj420p", "-color_range", "pc"], AAC)
    add("interlaced", "s.ts", v(rate="50"), a(), ["-vf", "tinterlace=4,setfield=tff", "-c:v", "libx264", "-preset", "ultrafast", "-flags", "+ildct+ilme", "-x264-params", "tff=1", "-pix_fmt", "yuv420p"], AAC, look="yadif,")
    add("mono-22k", "s.mp4", v(), a(src="sine=f=440:b=4:r=22050"), X, ["-c:a", "aac", "-ac", "1", "-ar", "22050"])
    add("five-one", "s.mp4", v(), a(), ["-af", "pan=5.1|c0=c0|c1=c0|c2=c0|c3=c0|c4=c0|c5=c0"], X, ["-c:a", "aac", "-b:a", "256k"])
    add("pcm-96k", "s.mov", v(), a(src="sine=f=440:b=4:r=96000"), X, ["-c:a", "pcm_s24le"])
    add("mp3-44k", "s.mp4", v(), a(src="sine=f=440:b=4:r=44100"), X, ["-c:a", "libmp3lame"])
    add("flac-mp4", "s.mp4", v(), a(), X, ["-c:a", "flac", "-strict", "-2"])
    add("two-tracks", "s.mp4", v(), a(), a(src="sine=f=880:r=48000"), ["-map", "0:v", "-map", "1:a", "-map", "2:a"], X, AAC)
    add("sound-later", "s.mp4", v(), ["-itsoffset", "1.5"], a(2.5), X, AAC)
    add("sound-earlier", "s.mkv", ["-itsoffset", "0.7"], v(), a(4.7), X, AAC)
    add("sound-shorter", "s.mp4", v(seconds=6), a(2), X, AAC)
    add("sound-longer", "s.mp4", v(seconds=3), a(7), X, AAC)
    add("silent", "s.mp4", v(), X, sound=False)
    add("sound-only", "s.m4a", a(), AAC, refused=True)
    add("cover-art", "s.mp4", v(), a(), ["-f", "lavfi", "-i", "color=red:size=100x100:duration=0.04:rate=25"], ["-map", "2:v", "-map", "0:v", "-map", "1:a", "-c:v:0", "mjpeg", "-disposition:v:0", "attached_pic", "-c:v:1", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"],
        decode=["-map", "0:V:0"])
    add("start-at-10h", "s.ts", v(), a(), X, AAC, ["-output_ts_offset", "36000"])
    add("clock-wraps", "s.ts", v(seconds=6), a(6), X, AAC, ["-output_ts_offset", "95440.7", "-mpegts_copyts", "1"])
    add("one-frame", "s.mp4", v(seconds=0.04, rate="25"), X, sound=False)
    add("two-frames", "s.ts", v(seconds=0.08, rate="25"), X, sound=False)
    add("still-jpeg", "s.jpg", v(seconds=0.04, rate="25"), ["-frames:v", "1"], sound=False, frames="any")
    add("truncated-ts", "s.ts", v(), a(), X, AAC, after=cut(0.63), frames="any", ssim=False)
    add("truncated-fragments", "s.mp4", v(), a(), X, AAC, ["-movflags", "frag_keyframe+empty_moov"], after=cut(0.8), frames="any", ssim=False)
    add("truncated-mp4", "s.mp4", v(), a(), X, AAC, after=cut(0.5), refused=True)
    add("damaged-ts", "s.ts", v(), a(), X, AAC, after=flip, frames="any", ssim=False, complaints=True)
    add("key-frame-late", "s.ts", v(), a(), X, AAC, ["-bsf:v", "noise=drop='lt(n,7)'"], frames="any", ssim=False)
    c.append(Case("size-changes", [[*v(seconds=2), *a(2), *X, *AAC, "one.ts"], [*v(size="640x360", seconds=2), *a(2), *X, *AAC, "-output_ts_offset", "2", "two.ts"],
                                   ["-i", "concat:one.ts|two.ts", "-c", "copy"]], "s.ts", ssim=False, complaints=True))
    c.append(Case("times-restart", [[*v(seconds=3), *a(3), *X, *AAC, "one.ts"], ["-i", "one.ts", "-c", "copy", "two.ts"]], "s.ts", frames="any", ssim=False, complaints=True))
    c[-1].after = lambda path: path.write_bytes((path.parent / "one.ts").read_bytes() * 2)
    c[-1].make = [c[-1].make[0], ["-i", "one.ts", "-c", "copy"]]
    add("subtitles-data", "s.mkv", v(), a(), ["-f", "lavfi", "-i", "anullsrc=d=4"], ["-map", "0:v", "-map", "1:a"], X, AAC)
    return c


def run(args, **more):
    return subprocess.run([str(x) for x in args], capture_output=True, timeout=300, **more)


def probe(path, *entries, more=()):
    out = run(["ffprobe", "-v", "quiet", "-of", "json", *entries, *more, path])
    return json.loads(out.stdout or b"{}")


def make(case, folder):
    path = folder / case.file
    steps = case.make if case.make and isinstance(case.make[0], list) else [case.make]
    for step in steps:
        target = [] if step is not steps[-1] else [str(path)]
        done = run(["ffmpeg", "-v", "error", "-y", "-bitexact", *step, *target], cwd=folder)
        if done.returncode:
            raise RuntimeError(done.stderr.decode()[-400:])
    if case.after:
        case.after(path)
    return path


def frame_times(path, decode=()):
    """Seconds of each decoded picture of the first video stream, and their size, turned as a player turns them."""
    log = run(["ffmpeg", "-hide_banner", "-nostats", "-copyts", "-i", path, *(decode or ["-map", "0:V:0"]), "-vf", "showinfo", "-fps_mode", "passthrough", "-enc_time_base", "demux", "-f", "null", "-"]).stderr.decode(errors="replace")
    times, shapes = [], []
    for match in re.finditer(r"showinfo.*? pts:\s*(\S+) pts_time:(\S+).*?sar:(\S+) s:(\d+)x(\d+)", log):
        times.append(float(match[2]))
        shapes.append((int(match[4]), int(match[5]), match[3]))
    return times, shapes


def fps_count(path, fps, decode):
    out = run(["ffmpeg", "-hide_banner", "-i", path, *(decode or ["-map", "0:V:0"]), "-vf", f"fps={fps}", "-f", "null", "-"]).stderr.decode(errors="replace")
    return int(re.findall(r"frame=\s*(\d+)", out)[-1])


def sound(path):
    """Mono samples at 8 kHz and the second at which they begin."""
    packets = probe(path, "-select_streams", "a:0", "-show_entries", "packet=pts_time,duration_time").get("packets", [])
    times = [float(p["pts_time"]) for p in packets if "pts_time" in p]
    if not times:
        return None
    pcm = run(["ffmpeg", "-v", "error", "-copyts", "-i", path, "-map", "0:a:0", "-af", "aresample=8000", "-ac", "1", "-f", "s16le", "-"]).stdout
    pts = run(["ffmpeg", "-hide_banner", "-nostats", "-copyts", "-i", path, "-map", "0:a:0", "-af", "ashowinfo", "-f", "null", "-"]).stderr.decode(errors="replace")
    first = re.search(r"ashowinfo.*? pts_time:(\S+)", pts)
    return array.array("h", pcm), float(first[1]) if first else times[0]


def lag(one, two):
    """Seconds by which the beeps of `two` come after those of `one`, on their own time lines."""
    def beeps(samples, start):
        window = 40  # 5 ms
        level = [max(map(abs, samples[i : i + window])) for i in range(0, len(samples), window)]
        loud = [x > 0.55 * max(level) for x in level]
        ends = [i for i in range(len(loud) - 60) if loud[i] and not any(loud[i + 1 : i + 60])]
        return [start + i * window / 8000 for i in ends]

    b1, b2 = beeps(*one), beeps(*two)
    if not b1 or not b2:
        return None
    return [min((y - x for y in b2), key=abs) for x in b1], len(b1), len(b2)


class Checker:
    def __init__(self, case):
        self.case, self.faults, self.facts = case, [], {}

    def check(self, good, text):
        if not good:
            self.faults.append(text)


def parse_playlist(text):
    lines = text.splitlines()
    return [float(m) for m in re.findall(r"#EXTINF:([\d.]+)", text)], [l for l in lines if l and not l.startswith("#")], int(re.search(r"TARGETDURATION:(\d+)", text)[1])


def check_hls(out, report, checker):
    master = (out / "master.m3u8").read_text()
    infos = re.findall(r"#EXT-X-STREAM-INF:(.*)", master)
    bandwidths = [int(re.search(r"(?<!-)BANDWIDTH=(\d+)", i)[1]) for i in infos]
    checker.check(all("CODECS=" in i and "RESOLUTION=" in i for i in infos), "master lacks CODECS or RESOLUTION")
    cuts = []
    for rendition, bandwidth in zip(report["renditions"], bandwidths):
        playlist = pathlib.Path(rendition["playlist"])
        durations, uris, target = parse_playlist(playlist.read_text())
        checker.check(all(round(d) <= target for d in durations), f"EXTINF over TARGETDURATION {target}: {max(durations)}")
        checker.check(playlist.read_text().rstrip().endswith("#EXT-X-ENDLIST"), "no ENDLIST at the end")
        cuts.append(durations)
        for index, (duration, uri) in enumerate(zip(durations, uris)):
            path = playlist.parent / uri
            if duration > 0.5:
                rate = path.stat().st_size * 8 / duration
                checker.check(rate <= bandwidth * 1.1, f"segment {index} at {rate:.0f} bit/s, BANDWIDTH {bandwidth}")
            head = probe(path, "-select_streams", "v:0", "-show_entries", "packet=flags", more=["-read_intervals", "%+#1"]).get("packets", [])
            checker.check(not head or head[0]["flags"].startswith("K"), f"{rendition['name']} segment {index} begins without a key frame")
    checker.check(all(len(x) == len(cuts[0]) for x in cuts), "renditions differ in number of segments")
    for x in cuts:
        checker.check(max([abs(p - q) for p, q in zip(x, cuts[0])], default=0) < 0.1, f"cuts differ: {cuts}")


def ssim(case, source, playlist, size, bitrate, folder):
    """Ours, and ffmpeg's at the same bitrate, each against the scaled source."""
    w, h = size
    fps = f"fps={case.fps}," if case.fps != "0" else ""
    want = f"{case.look}{fps}scale={w}:{h}:flags=bicubic,format=yuv420p,setsar=1"

    def against(path):
        log = run(["ffmpeg", "-hide_banner", "-i", source, "-i", path, "-filter_complex",
                   f"[0:V:0]{want},settb=1/1000,setpts=N[r];[1:v:0]scale={w}:{h},format=yuv420p,setsar=1,settb=1/1000,setpts=N[d];[d][r]ssim", "-fps_mode", "passthrough", "-f", "null", "-"]).stderr.decode(errors="replace")
        found = re.search(r"SSIM .*All:([\d.]+)", log)
        return float(found[1]) if found else 0.0

    theirs = folder / "theirs.mkv"
    run(["ffmpeg", "-v", "error", "-y", "-i", source, "-map", "0:V:0", "-vf", want, "-fps_mode", "passthrough", "-c:v", "libx264", "-preset", "veryfast", "-b:v", bitrate, theirs])
    return against(playlist), against(theirs)


def colours(path):
    streams = probe(path, "-select_streams", "V:0", "-show_entries", "stream=color_range,color_space,color_primaries,color_transfer").get("streams", [{}])
    return tuple((streams or [{}])[0].get(k, "unknown") for k in ("color_space", "color_primaries", "color_transfer", "color_range"))


def check_case(case, program, folder):
    checker = Checker(case)
    source = make(case, folder)
    profiles = [{"name": "low", "width": 160, "height": 90, "bitrate": 200000}, {"name": "high", "width": 320, "height": 180, "bitrate": 700000}]
    for profile in profiles:
        if case.fps != "0":
            number, _, den = case.fps.partition("/")
            profile.update(fps=int(number), fpsDen=int(den or 1))
    (folder / "p.json").write_text(json.dumps(profiles))
    out = folder / "out"
    done = run([program, "--json", "transcode", source, "-o", out, "--profiles", folder / "p.json", "--x264-preset", "veryfast"])
    if done.returncode and b"x264-preset" in done.stderr:
        done = run([program, "--json", "transcode", source, "-o", out, "--profiles", folder / "p.json"])
    if case.refused:
        checker.check(done.returncode != 0, "should be refused")
        checker.facts["error"] = (done.stderr or done.stdout).decode().strip()[-160:]
        return checker
    if done.returncode:
        checker.faults.append(f"exit {done.returncode}: {(done.stderr or done.stdout).decode().strip()[-300:]}")
        return checker
    report = json.loads(done.stdout)
    check_hls(out, report, checker)
    source_times, source_shapes = frame_times(source, case.decode)
    source_sound = sound(source) if case.sound else None
    for rendition, profile in zip(report["renditions"], profiles):
        playlist = rendition["playlist"]
        times, shapes = frame_times(playlist)
        name = rendition["name"]
        complaint = run(["ffmpeg", "-v", "warning", "-i", playlist, "-f", "null", "-"]).stderr.decode(errors="replace").strip()
        checker.check(case.complaints or not complaint, f"{name}: ffmpeg says {complaint[-200:]!r}")
        expected = {"same": len(source_times), "fps": None, "any": len(source_times)}[case.frames]
        if case.frames == "fps":
            expected = fps_count(source, case.fps, case.decode)
        checker.facts[name] = f"{len(times)}/{expected} frames"
        slack = 0 if case.frames == "same" else 1 if case.frames == "fps" else 2 + expected // 9
        checker.check(abs(len(times) - expected) <= slack, f"{name}: {len(times)} frames, expected {expected}")
        if case.frames == "same" and times and len(times) == len(source_times):
            ours = [t - times[0] for t in times]
            wanted = [t - source_times[0] for t in source_times]
            worst = max(abs(p - q) for p, q in zip(ours, wanted))
            checker.check(worst < 0.002, f"{name}: frames up to {worst * 1000:.1f} ms from their times")
        if shapes and source_shapes:
            sw, sh, ssar = source_shapes[0]
            w, h, sar = shapes[0]

            def ratio(width, height, aspect):
                num, _, den = aspect.partition("/")
                num, den = (int(num), int(den)) if int(num) and int(den) else (1, 1)
                return width * num / (height * den)

            p, q = ratio(sw, sh, ssar), ratio(w, h, sar)
            checker.facts["shape"] = f"{sw}x{sh} {ssar} -> {w}x{h} {sar}"
            checker.check(abs(p / q - 1) < 0.03, f"{name}: seen as {q:.3f}, the source as {p:.3f} ({checker.facts['shape']})")
        theirs = colours(source)
        ours = colours(pathlib.Path(playlist))
        checker.check(theirs[0] == "gbr" or all(x == y or x == "unknown" or {x, y} == {"unknown", "tv"} for x, y in zip(theirs, ours)), f"{name}: colours {ours}, source {theirs}")
        if source_sound is not None and times:
            heard = sound(playlist)
            if heard is None:
                checker.faults.append(f"{name}: no sound")
            else:
                shift = times[0] - source_times[0]
                measured = lag(source_sound, (heard[0], heard[1] - shift))
                if measured is None:
                    checker.faults.append(f"{name}: no beeps found")
                else:
                    lags, n1, n2 = measured
                    checker.facts["av"] = "%+.0f..%+.0f ms" % (min(lags) * 1000, max(lags) * 1000)
                    checker.check(max(map(abs, lags)) < 0.030, f"{name}: sound moves by {[round(x * 1000) for x in lags]} ms against the picture")
                    checker.check(case.frames == "any" or n1 == n2, f"{name}: {n2} beeps, the source has {n1}")
                length1, length2 = len(source_sound[0]) / 8000, len(heard[0]) / 8000
                checker.check(case.frames == "any" or abs(length1 - length2) < 0.08, f"{name}: {length2:.2f} s of sound, the source has {length1:.2f}")
        elif not case.sound:
            checker.check(sound(playlist) is None, f"{name}: sound from nowhere")
    if case.ssim and times:
        ours, theirs = ssim(case, source, playlist, shapes[0][:2], profiles[-1]["bitrate"], folder)
        checker.facts["ssim"] = f"{ours:.3f} ({theirs:.3f})"
        checker.check(ours > theirs - 0.02, f"SSIM {ours:.3f}, ffmpeg's {theirs:.3f}")
    return checker


def report(checker):
    """Prints a line for the case and one for each fault; whether there are any."""
    facts = "  ".join(f"{key} {value}" for key, value in checker.facts.items())
    print(f"{'FAULT' if checker.faults else 'ok':6}{checker.case.name:22}{facts}", flush=True)
    for fault in checker.faults:
        print(f"          {fault}", flush=True)
    return bool(checker.faults)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--framegrid", default=os.environ.get("FRAMEGRID", "build/release/framegrid"))
    parser.add_argument("--keep")
    parser.add_argument("cases", nargs="*")
    options = parser.parse_args()
    program = pathlib.Path(options.framegrid).resolve()
    bad = 0
    chosen = [case for case in cases() if not options.cases or case.name in options.cases]
    for case in chosen:
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(options.keep, case.name) if options.keep else pathlib.Path(temporary)
            folder.mkdir(parents=True, exist_ok=True)
            try:
                checker = check_case(case, program, folder)
            except Exception as error:  # one case that cannot be made or read must not end the others
                checker = Checker(case)
                checker.faults.append(f"{type(error).__name__}: {error}")
            bad += report(checker)
    print(f"{len(chosen)} cases, {bad} with faults")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
