#!/usr/bin/env python3
"""Odd streams through `POST /live/{stream}/{n}.ts` of a private network, with stock ffmpeg and ffprobe as the judge.

usage: live.py [--framegrid PROGRAM] [CASE ...]

Sources of audit.py are cut by ffmpeg's own segment muxer; every rendition of every segment is compared with its segment, and
the live HLS playlist is checked while it grows."""

import argparse
import json
import os
import pathlib
import re
import sys
import tempfile
import urllib.request

import audit

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e/network"))

CASES = ["ts", "high-b-open-gop", "b-frames-mp4", "intra-only", "h264-10bit", "h264-422", "hevc", "mpeg2-ts-ac3", "fps-29.97", "fps-59.94", "vfr",
         "portrait", "interlaced", "mono-22k", "mp3-44k", "five-one", "sound-later", "silent", "start-at-10h", "clock-wraps", "size-changes",
         "key-frame-late", "sar-pal-ts", "full-range", "bt601"]
PROFILES = [{"name": "low", "width": 160, "height": 90, "bitrate": 200000, "fps": 0},
            {"name": "high", "width": 320, "height": 180, "bitrate": 700000, "fps": 0}]


def push(url, stream, number, data, duration_ms):
    request = urllib.request.Request(
        f"{url}/live/{stream}/{number}.ts", data, method="POST",
        headers={"accept": "multipart/mixed", "content-duration": str(duration_ms), "content-type": "video/mp2t",
                 "livepeer-transcode-configuration": json.dumps({"profiles": PROFILES})})
    with urllib.request.urlopen(request, timeout=60) as answer:
        boundary = re.search(r'boundary="?([^";]+)', answer.headers["content-type"])[1].encode()
        body = answer.read()
    parts = {}
    for part in body.split(b"--" + boundary)[1:-1]:
        head, _, content = part.strip(b"\r\n").partition(b"\r\n\r\n")
        parts[re.search(rb"(?i)rendition-name: *(\S+)", head)[1].decode()] = content
    return parts


def check_live_playlist(url, stream, checker):
    master = urllib.request.urlopen(f"{url}/stream/{stream}.m3u8", timeout=10).read().decode()
    infos = re.findall(r"#EXT-X-STREAM-INF:(.*)", master)
    checker.check(len(infos) == len(PROFILES), f"{len(infos)} renditions in the master playlist")
    checker.check(all("CODECS=" in info and "RESOLUTION=" in info for info in infos), f"master lacks CODECS or RESOLUTION: {infos[:1]}")
    media = urllib.request.urlopen(f"{url}/stream/{stream}/low.m3u8", timeout=10).read().decode()
    durations, _, target = audit.parse_playlist(media)
    checker.check(all(round(d) <= target for d in durations), f"EXTINF over TARGETDURATION {target}: {durations}")


def check_case(case, url, folder):
    checker = audit.Checker(case)
    source = audit.make(case, folder)
    audit.run(["ffmpeg", "-v", "error", "-y", "-copyts", "-i", source, "-map", "0:V:0", "-map", "0:a:0?", "-c", "copy", "-f", "segment", "-segment_time", "2",
               "-segment_format", "mpegts", "-segment_format_options", "mpegts_copyts=1", folder / "in-%03d.ts"])
    segments = sorted(folder.glob("in-*.ts"))
    frames, worst, lags = [0, 0], 0.0, []
    for number, segment in enumerate(segments):
        wanted, _ = audit.frame_times(segment)
        parts = push(url, case.name, number, segment.read_bytes(), 2000)
        heard = audit.sound(segment) if case.sound else None
        for profile in PROFILES:
            path = folder / f"{profile['name']}-{number}.ts"
            path.write_bytes(parts[profile["name"]])
            times, _ = audit.frame_times(path)
            frames[0] += len(times)
            frames[1] += len(wanted)
            if len(times) == len(wanted):
                worst = max([worst, *(abs(p - q) for p, q in zip(times, wanted))])
            if heard and times and len(heard[0]):
                ours = audit.sound(path)
                found = audit.lag(heard, ours) if ours else None
                lags += found[0] if found else [9.0]
    checker.facts["frames"] = f"{frames[0]}/{frames[1]}"
    checker.check(frames[0] == frames[1] and frames[1] > 0, f"{frames[0]} frames, the segments have {frames[1]}")
    checker.check(worst < 0.002, f"frames up to {worst * 1000:.1f} ms from their times")
    checker.check(not lags or max(map(abs, lags)) < 0.03, f"sound moves by {sorted(set(round(x * 1000) for x in lags))} ms")
    check_live_playlist(url, case.name, checker)
    return checker


def main():
    import harness

    parser = argparse.ArgumentParser()
    parser.add_argument("--framegrid", default=os.environ.get("FRAMEGRID", "build/release/framegrid"))
    parser.add_argument("cases", nargs="*")
    options = parser.parse_args()
    harness.BINARY = pathlib.Path(options.framegrid).resolve()
    wanted = options.cases or CASES
    chosen = [case for case in audit.cases() if case.name in wanted]
    bad = 0
    with harness.Network(1, 1) as network:
        network.wait_usable()
        for case in chosen:
            with tempfile.TemporaryDirectory() as folder:
                try:
                    checker = check_case(case, network.url, pathlib.Path(folder))
                except Exception as error:  # one case that cannot be made or read must not end the others
                    checker = audit.Checker(case)
                    checker.faults.append(f"{type(error).__name__}: {error}")
            bad += audit.report(checker)
    print(f"{len(chosen)} cases, {bad} with faults")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
