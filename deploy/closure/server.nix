# The single-user server of Nix and Guix images: what the site's base image has, with a Python and a C library of its own,
# united with the author's environment when an image is made. It stands alone: nothing of it is on the author's PATH but
# the one program, and no kernel comes from it.
{
  lock ? builtins.fromJSON (builtins.readFile ./lock.json),
  seed ? ./seed,
}:
let
  set = import ./default.nix { inherit lock seed; };
  file =
    path:
    builtins.path {
      inherit path;
      name = baseNameOf path;
    };

  settings = set.runCommand "repolaunch-server-settings" { } ''
    mkdir -p $out/etc/jupyter $out/share/jupyter/lab/settings $out/lib/python${lock.python}/site-packages
    cat ${file ../images/base/jupyter_server_config.py} ${file ./server/jupyter_server_config.py} \
      >$out/etc/jupyter/jupyter_server_config.py
    cp ${file ../images/base/overrides.json} $out/share/jupyter/lab/settings/overrides.json
    cp ${file ./server/kernels.py} $out/lib/python${lock.python}/site-packages/repolaunch_kernels.py
  '';

  environment = set.pythonEnv {
    name = "repolaunch-server-env";
    packages = map (name: set.pythonPackages.${name}) lock.server;
    paths = [ settings ];
    without = [ "share/jupyter/kernels" ];
  };

  # The program of the base image with this Python, which neither variables nor a person's own packages reach.
  program = set.runCommand "repolaunch-server" { } ''
    mkdir -p $out/bin
    sed '1s|.*|#!${environment}/bin/python3 -I|' ${file ../images/base/repolaunch-singleuser} \
      >$out/bin/repolaunch-singleuser
    chmod 755 $out/bin/repolaunch-singleuser
  '';
in
{
  inherit program;
  inherit (set) tools all;
}
