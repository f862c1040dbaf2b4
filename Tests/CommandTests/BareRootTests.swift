import TestSupport
import Testing

/// Where `/proc` isn't mounted, as in a chroot or a hardened container.
@Suite(.needsMounts) struct BareRootTests {
  /// The arguments are known all the same, and bytes in them stay what they are; a link among them is hidden.
  @Test func argumentsAreKnown() throws {
    try withTemporaryFolder { folder in
      // The program, what it is linked with and a shell; no /proc, /dev, /tmp, home or environment.
      let root = #"""
        cd "$1"
        for place in /usr /bin /lib /lib64 "$2" "${0%/*}" $(ldd "$0" | sed -n 's|.* => \(/.*\)/[^/]* (.*|\1|p' | sort -u); do
          if [ -L "$place" ]; then cp -P "$place" "root$place"; else mkdir -p "root$place" && mount --bind "$place" "root$place"; fi
        done
        exec /usr/bin/env -i PATH=/usr/bin:/bin /usr/sbin/chroot root /bin/bash -c "$3" "$0" "$2"
        """#
      let script = #"""
        mkdir /work; cd /work
        tell() { "$0" "$@" > out 2> err; echo "$? $(cat out err | tr '\n' ' ')"; }
        tell verify nowhere
        tell help nonsense
        tell --version
        mkdir "$(printf 'v\350rifi\351s')"; printf x > "$(printf 'v\350rifi\351s/x')"
        (cd "$(printf 'v\350rifi\351s')"; md5sum x > checklist.chk)
        tell verify --quiet --progress none "$(printf 'v\350rifi\351s')"
        DROVER_URL='https://a.b/*?Signature=sEcReT' tell inspect --model 7B
        # Longer than libdispatch takes to look for its threads.
        (sleep 2.5; echo a wolf) | tell complete "$1" --prompts - --max-gen-len 1 --quiet
        tell demo
        (exec -a '' "$0" verify nowhere) > out 2> err; echo "$? $(cat err | tr '\n' ' ')"
        """#
      let model = Peer.packageRoot + "/Sources/CDemoModel/model"
      let outcome = try run("/usr/bin/unshare", Mount.flags + ["/bin/bash", "-c", root, droverPath, folder, model, script])
      let lines = outcome.output.split(separator: "\n").map(String.init)
      try #require(lines.count == 8, "\(outcome)")
      #expect(lines[0].hasPrefix("66 ") && lines[0].contains("nowhere: no such file or folder"), "\(lines[0])")
      #expect(lines[1].hasPrefix("64 ") && lines[1].contains("nonsense: no such command"), "\(lines[1])")
      #expect(lines[2].hasPrefix("0 drover 0."), "\(lines[2])")
      #expect(lines[3] == "0 ", "\(lines[3])")
      #expect(lines[4].hasPrefix("64 ") && !lines[4].contains("sEcReT"), "\(lines[4])")
      #expect(lines[5].hasPrefix("0 "), "\(lines[5])")
      #expect(lines[6].hasPrefix("1 drover: the demonstration's little server needs /proc"), "\(lines[6])")
      #expect(lines[7].hasPrefix("66 "), "\(lines[7])")
    }
  }
}
