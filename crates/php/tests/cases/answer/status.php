<?php
header('Status: 418 Teapot');
header($_GET['line'] ?? 'X-None: 1');
