<?php
header('Link: </a>; rel=preload');
header('Link: </b>; rel=preload', false);
header('WWW-Authenticate: Basic realm="x"');
header('WWW-Authenticate: Negotiate', false);
header('Vary: Accept');
header('Vary: Cookie', false);
header('Cache-Control: no-store');
header('Cache-Control: private', false);
header('Content-Type: text/plain');
header('Content-Type: text/html', false);
echo implode("\n", headers_list());
