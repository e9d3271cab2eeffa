<?php
header('X-Set: before');
throw new RuntimeException("nobody catches this\nsecond line");
