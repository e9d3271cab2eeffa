<?php
$all = get_loaded_extensions();
sort($all);
echo implode("\n", array_diff($all, ['cgi-fcgi'])), "\nSAPI's own: ", extension_loaded('cgi-fcgi') ? 'cgi-fcgi' : '(none)', "\n";
