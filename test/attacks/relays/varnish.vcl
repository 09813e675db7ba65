vcl 4.1;
import std;
backend container { .host = "127.0.0.1"; .port = "9911"; }
backend ecs { .host = "169.254.170.2"; .port = "80"; }
backend imds { .host = "169.254.169.254"; .port = "80"; }
sub vcl_recv {
  if (std.port(local.ip) == 8081) { set req.backend_hint = container; }
  if (std.port(local.ip) == 8082) { set req.backend_hint = ecs; }
  if (std.port(local.ip) == 8083) { set req.backend_hint = imds; }
  OPTIONS
}
